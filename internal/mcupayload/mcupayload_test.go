package mcupayload_test

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"testing"

	"github.com/moult-ota/moult/internal/mcupayload"
	"github.com/moult-ota/moult/mcuboot"
)

// vector reads an image that imgtool made.
func vector(t *testing.T, name string) []byte {
	t.Helper()
	p, err := os.ReadFile("../../mcuboot/testdata/vectors/" + name + ".bin")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRead(t *testing.T) {
	for name, tt := range map[string]struct {
		file []byte
		want error
	}{
		"image":     {vector(t, "ed25519"), nil},
		"padded":    {vector(t, "pad-8"), mcupayload.ErrPadded},
		"no image":  {[]byte("payload"), mcuboot.ErrFormat},
		"cut short": {vector(t, "ed25519")[:1600], mcuboot.ErrFormat},
	} {
		im, err := mcupayload.Read(bytes.NewReader(tt.file))
		if !errors.Is(err, tt.want) || (tt.want == nil || tt.want == mcupayload.ErrPadded) != (im != nil) {
			t.Errorf("%s: Read() = %v, %v, want error %v", name, im, err, tt.want)
		}
	}
}

func TestAgree(t *testing.T) {
	im, err := mcupayload.Read(bytes.NewReader(vector(t, "protected"))) // 2.0.1, counter 6
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		key, value string // changed; value "" deletes
		agrees     bool
	}{
		"as written":      {"rootfs-image.version", "7", true},
		"another version": {"fw.version", "2.0.2", false},
		"no version":      {"fw.version", "", false},
		"another hash":    {"fw.hash", "00", false},
		"two hashes":      {"gw.hash", "00", false},
		"no hash":         {"fw.hash", "", false}, // then the software is mcuboot-image, and that has no version
		"another counter": {"fw.security_version", "7", false},
		"no counter":      {"fw.security_version", "", false},
	} {
		p := maps.Clone(mcupayload.Provides("fw", im))
		p[tt.key] = tt.value
		if tt.value == "" {
			delete(p, tt.key)
		}
		if err := mcupayload.Agree(p, im); (err == nil) != tt.agrees {
			t.Errorf("%s: Agree(%v) = %v", name, p, err)
		}
	}
	p := mcupayload.Provides(mcupayload.Type, im)
	delete(p, mcupayload.Type+".hash")
	if err := mcupayload.Agree(p, im); err != nil {
		t.Errorf("without a hash: Agree(%v) = %v", p, err)
	}
}

func TestCheck(t *testing.T) {
	key := func(name string) []mcuboot.PublicKey {
		text, err := os.ReadFile("../../mcuboot/testdata/" + name + ".pem")
		if err != nil {
			t.Fatal(err)
		}
		k, err := mcuboot.ParsePublicKey(text)
		if err != nil {
			t.Fatal(err)
		}
		return []mcuboot.PublicKey{k}
	}
	spoiled := vector(t, "ed25519")
	spoiled[700] ^= 1
	for name, tt := range map[string]struct {
		file []byte
		keys []mcuboot.PublicKey
		want error
	}{
		"no keys":               {vector(t, "ed25519"), nil, nil},
		"its key":               {vector(t, "ed25519"), key("ed25519"), nil},
		"another key":           {vector(t, "ed25519"), key("ecdsa-p256"), mcuboot.ErrSignature},
		"a flipped bit":         {spoiled, nil, mcuboot.ErrHash},
		"encrypted, no keys":    {vector(t, "encrypted-x25519-128"), nil, nil},
		"encrypted, with a key": {vector(t, "encrypted-x25519-128"), key("ed25519"), mcuboot.ErrEncrypted},
	} {
		im, err := mcupayload.Read(bytes.NewReader(tt.file))
		if err != nil {
			t.Fatal(err)
		}
		if err := mcupayload.Check(im, tt.keys); !errors.Is(err, tt.want) {
			t.Errorf("%s: Check() = %v, want %v", name, err, tt.want)
		}
		if !mcupayload.Signed(im) {
			t.Errorf("%s: Signed() = false", name)
		}
	}
}
