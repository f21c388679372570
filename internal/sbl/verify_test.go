package sbl_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/slot"
)

// keys writes a new public key to path and returns what signs with its other
// half.
func (x bench) keys(path string) artifact.Signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	x.ok(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	x.ok(err)
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	x.ok(err)
	x.ok(os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o600))
	s, err := artifact.ParsePrivateKey(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	x.ok(err)
	return s
}

// signed is what the signer's artifact of an image leaves in a slot.
func (x bench) signed(s artifact.Signer, image string, more ...func(*artifact.Spec)) []byte {
	spec := artifact.Spec{Name: "v2", DeviceTypes: []string{"x"}, PayloadType: "rootfs-image", Signer: s,
		Files: []artifact.Source{{Name: "image", Size: int64(len(image)), Open: func() (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(image)), nil
		}}}}
	for _, f := range more {
		f(&spec)
	}
	var out bytes.Buffer
	x.ok(artifact.Write(&out, spec))
	r, err := artifact.NewReader(&out, artifact.ReaderOptions{AllowUnsigned: true})
	x.ok(err)
	return r.Signed()
}

// TestSignature fails when a slot starts that no key of the loader's signed.
// Each slot here is complete, and the register names what is in it.
func TestSignature(t *testing.T) {
	x := newBench(t)
	key, other := x.Path+".pem", x.Path+".other"
	ours, theirs := x.keys(key), x.keys(other)
	x.ok(os.WriteFile(x.Path+".broken", []byte("no key"), 0o600))
	tests := []struct {
		name    string
		excerpt []byte
		keys    string
		want    string
	}{
		{"ours", x.signed(ours, "image"), key, "run slot A: A is current\n"},
		{"ours is one of two", x.signed(ours, "image"), other + "," + key, "run slot A: A is current\n"},
		{"no key asked for", nil, "", "run slot A: A is current\n"},
		{"somebody else's", x.signed(theirs, "image"), key, "recover: A is unfit"},
		{"not signed", nil, key, "recover: A is unfit"},
		{"ours, of another image", x.signed(ours, "other"), key, "recover: A is unfit"},
		{"key that is none", x.signed(ours, "image"), x.Path + ".broken", "recover: A is unfit"},
		{"key that is missing", x.signed(ours, "image"), x.Path + ".missing", "recover: A is unfit"},
	}
	for _, tt := range tests {
		im, err := x.Install("a", []byte("image"), slot.Descriptor{Excerpt: tt.excerpt})
		x.ok(err)
		x.ok(x.Register(boot.First(slot.A, im, 0)))
		if out, code := x.dry("--verify-keys", tt.keys); code != 0 || !strings.Contains(out, tt.want) {
			t.Errorf("%s: --dry-run = %d:\n%swant %s", tt.name, code, out, tt.want)
		}
	}
}

// TestSignedVersion fails when an old image that was signed starts because a
// slot and a register claim that it is new. Whoever did it can write both.
func TestSignedVersion(t *testing.T) {
	x := newBench(t)
	key := x.Path + ".pem"
	ours := x.keys(key)
	version := func(n uint64, c artifact.Compression) []byte {
		return x.signed(ours, "image", func(s *artifact.Spec) {
			s.Provides, s.Compression = artifact.Software{SecurityVersion: &n}.Provides(), c
		})
	}
	short := func(text []byte) []byte { return text[:bytes.Index(text, []byte("\n\n"))+1] }
	tests := []struct {
		name    string
		excerpt []byte
		claimed uint32
		floor   string
		want    string
	}{
		{"as signed", version(2, artifact.Gzip), 2, "0", "run slot A: A is current\n"},
		{"as signed, at the floor", version(2, artifact.Zstd), 2, "2", "run slot A: A is current\n"},
		{"as signed, below the floor", version(2, artifact.Gzip), 2, "3", "A is unfit: signed security version 2, floor 3 of the options"},
		{"claims more than was signed", version(2, artifact.Gzip), 3, "3", "A is unfit: security version 2 was signed, the slot claims 3"},
		{"claims less than was signed", version(2, artifact.Gzip), 1, "0", "A is unfit: security version 2 was signed, the slot claims 1"},
		{"header taken away, no floor", short(version(2, artifact.Gzip)), 2, "0", "run slot A: A is current\n"},
		{"header taken away", short(version(2, artifact.Gzip)), 3, "3", "A is unfit: signed security version 0, floor 3 of the options"},
		{"header too large to keep", version(3, artifact.None), 3, "3", "A is unfit: signed security version 0, floor 3 of the options"},
	}
	for _, tt := range tests {
		im, err := x.Install("a", []byte("image"), slot.Descriptor{Excerpt: tt.excerpt, Security: tt.claimed})
		x.ok(err)
		x.ok(x.Register(boot.First(slot.A, im, 0)))
		if out, code := x.dry("--verify-keys", key, "--floor", tt.floor); code != 0 || !strings.Contains(out, tt.want) {
			t.Errorf("%s: --dry-run = %d:\n%swant %s", tt.name, code, out, tt.want)
		}
	}
}
