package artifact_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/moult-ota/moult/artifact"
)

// TestVerifySigned fails when what an artifact leaves behind verifies for
// another image, another signer, or after a change of any byte.
func TestVerifySigned(t *testing.T) {
	pair := newECDSA(t)
	signer, err := artifact.ParsePrivateKey(pair.PKCS8)
	check(t, err)
	ours, err := artifact.ParsePublicKey(pair.Public)
	check(t, err)
	theirs, err := artifact.ParsePublicKey(newECDSA(t).Public)
	check(t, err)
	text := signedText(t, signer)
	image := sha256.Sum256([]byte("image"))
	keys := []artifact.Verifier{theirs, ours}
	if err := artifact.VerifySigned(text, keys, image); err != nil {
		t.Errorf("VerifySigned = %v", err)
	}
	for name, err := range map[string]error{
		"another image":      artifact.VerifySigned(text, keys, sha256.Sum256([]byte("other"))),
		"the version's sum":  artifact.VerifySigned(text, keys, versionSum(t, text)),
		"another key":        artifact.VerifySigned(text, keys[:1], image),
		"no key":             artifact.VerifySigned(text, nil, image),
		"nothing":            artifact.VerifySigned(nil, keys, image),
		"a line more":        artifact.VerifySigned(append(bytes.Clone(text), text[len(text)-10:]...), keys, image),
		"unsigned artifacts": artifact.VerifySigned(signedText(t, nil), keys, image),
	} {
		if err == nil {
			t.Errorf("VerifySigned with %s = nil, want an error", name)
		}
	}
	for at := range text {
		text[at] ^= 1
		if err := artifact.VerifySigned(text, keys, image); err == nil {
			t.Errorf("VerifySigned with byte %d changed = nil, want an error", at)
		}
		text[at] ^= 1
	}
	if err := artifact.VerifySigned(text, keys[:1], image); !errors.Is(err, artifact.ErrSignature) {
		t.Errorf("VerifySigned with another key = %v, want %v", err, artifact.ErrSignature)
	}
}

func signedText(t *testing.T, s artifact.Signer) []byte {
	t.Helper()
	var out bytes.Buffer
	check(t, artifact.Write(&out, artifact.Spec{Name: "r1", DeviceTypes: []string{"x"}, PayloadType: "rootfs-image", Signer: s,
		Files: []artifact.Source{{Name: "image", Size: 5, Open: func() (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader("image")), nil
		}}}}))
	r, err := artifact.NewReader(&out, artifact.ReaderOptions{AllowUnsigned: true})
	check(t, err)
	return r.Signed()
}

// versionSum is the sum of the file version, which is signed but no image.
func versionSum(t *testing.T, text []byte) (d artifact.Digest) {
	t.Helper()
	for line := range strings.Lines(string(text)) {
		if sum, name, ok := strings.Cut(line, "  "); ok && name == "version\n" {
			d = digest(t, sum)
		}
	}
	if d == (artifact.Digest{}) {
		t.Fatalf("no version in %q", text)
	}
	return d
}

func digest(t *testing.T, text string) (d artifact.Digest) {
	t.Helper()
	_, err := hex.Decode(d[:], []byte(text))
	check(t, err)
	return d
}
