package control_test

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"testing"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/control"
	"github.com/moult-ota/moult/internal/mcupayload"
	"github.com/moult-ota/moult/mcuboot"
)

// vector reads what imgtool made.
func vector(t *testing.T, name string) []byte {
	t.Helper()
	p, err := os.ReadFile("../../mcuboot/testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// firmware is an artifact with files, and with provides of the image that it
// claims to hold.
func firmware(t *testing.T, claim []byte, more map[string]string, files ...[]byte) []byte {
	t.Helper()
	im, _, err := mcuboot.Parse(claim)
	if err != nil {
		t.Fatal(err)
	}
	s := artifact.Spec{Name: "fw", DeviceTypes: []string{"k64f"}, PayloadType: mcupayload.Type, Provides: mcupayload.Provides("fw", im)}
	maps.Copy(s.Provides, more)
	for i, body := range files {
		s.Files = append(s.Files, artifact.Source{Name: "image" + string(rune('0'+i)), Size: int64(len(body)),
			Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }})
	}
	return written(t, s)
}

func TestUploadOfImages(t *testing.T) {
	image, counted := vector(t, "vectors/ed25519.bin"), vector(t, "vectors/protected.bin")
	spoiled := bytes.Clone(image)
	spoiled[700] ^= 1
	for name, tt := range map[string]struct {
		artifact []byte
		key      string
		refused  bool
		because  error
	}{
		"an image":                {artifact: firmware(t, image, nil, image)},
		"with a counter":          {artifact: firmware(t, counted, nil, counted)},
		"signed by the key":       {artifact: firmware(t, image, nil, image), key: "ed25519"},
		"signed by another key":   {artifact: firmware(t, image, nil, image), key: "ecdsa-p256", refused: true, because: mcuboot.ErrSignature},
		"not signed":              {artifact: firmware(t, image, nil, unsigned(image)), key: "ed25519", refused: true, because: mcuboot.ErrUnsigned},
		"not signed, and no key":  {artifact: firmware(t, image, nil, unsigned(image))},
		"not an image":            {artifact: firmware(t, image, nil, []byte("text")), refused: true, because: mcuboot.ErrFormat},
		"a flipped bit":           {artifact: firmware(t, image, nil, spoiled), refused: true, because: mcuboot.ErrHash},
		"another version":         {artifact: firmware(t, image, map[string]string{"fw.version": "9.9.9"}, image), refused: true},
		"another image":           {artifact: firmware(t, image, nil, counted), refused: true},
		"a counter it has not":    {artifact: firmware(t, image, map[string]string{"fw.security_version": "9"}, image), refused: true},
		"no image":                {artifact: firmware(t, image, nil), refused: true},
		"two images":              {artifact: firmware(t, image, nil, image, image), refused: true},
		"encrypted, and a key":    {artifact: firmware(t, image, nil, vector(t, "vectors/encrypted-x25519-128.bin")), key: "ed25519", refused: true, because: mcuboot.ErrEncrypted},
		"encrypted, and no key":   {artifact: firmware(t, vector(t, "vectors/encrypted-x25519-128.bin"), nil, vector(t, "vectors/encrypted-x25519-128.bin"))},
		"padded, for overwriting": {artifact: firmware(t, vector(t, "vectors/pad-8.bin"), nil, vector(t, "vectors/pad-8.bin"))},
	} {
		f := newFixture(t, func(o *control.Options) {
			if tt.key != "" {
				k, err := mcuboot.ParsePublicKey(vector(t, tt.key+".pem"))
				if err != nil {
					t.Fatal(err)
				}
				o.ImageKeys = []mcuboot.PublicKey{k}
			}
		})
		_, err := f.Upload(ctx, bytes.NewReader(tt.artifact), "")
		if errors.Is(err, control.ErrRefused) != tt.refused || !tt.refused && err != nil || tt.because != nil && !errors.Is(err, tt.because) {
			t.Errorf("%s: Upload = %v, want refused %v for %v", name, err, tt.refused, tt.because)
		}
	}
}

// unsigned is an image with its hash alone in the last area.
func unsigned(image []byte) []byte {
	const header, payload = 0x200, 1000
	area := bytes.Clone(image[header+payload : header+payload+4+4+32])
	area[2], area[3] = byte(len(area)), 0
	return append(bytes.Clone(image[:header+payload]), area...)
}
