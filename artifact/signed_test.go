package artifact_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
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
	h, err := artifact.VerifySigned(text, keys, image)
	check(t, err)
	if _, v, ok, err := h.SecurityVersion(); h.Name != "r1" || v != 7 || !ok || err != nil {
		t.Errorf("VerifySigned = %+v, security version %d, %v", h, v, err)
	}
	if h, err := artifact.VerifySigned(withoutHeader(text), keys, image); h != nil || err != nil {
		t.Errorf("VerifySigned without a header = %+v, %v, want nil", h, err)
	}
	verify := func(text []byte, keys []artifact.Verifier, sum artifact.Digest) error {
		_, err := artifact.VerifySigned(text, keys, sum)
		return err
	}
	for name, err := range map[string]error{
		"another image":      verify(text, keys, sha256.Sum256([]byte("other"))),
		"the version's sum":  verify(text, keys, versionSum(t, text)),
		"another key":        verify(text, keys[:1], image),
		"no key":             verify(text, nil, image),
		"nothing":            verify(nil, keys, image),
		"a line more":        verify(append(bytes.Clone(text), text[len(text)-10:]...), keys, image),
		"another's header":   verify(slices.Concat(withoutHeader(text), []byte("\n"), signedText(t, signer)), keys, image),
		"half a header":      verify(text[:len(text)-50], keys, image),
		"an empty header":    verify(append(withoutHeader(text), '\n'), keys, image),
		"unsigned artifacts": verify(signedText(t, nil), keys, image),
	} {
		if err == nil {
			t.Errorf("VerifySigned with %s = nil, want an error", name)
		}
	}
	for at := range text {
		text[at] ^= 1
		if err := verify(text, keys, image); err == nil {
			t.Errorf("VerifySigned with byte %d changed = nil, want an error", at)
		}
		text[at] ^= 1
	}
	if err := verify(text, keys[:1], image); !errors.Is(err, artifact.ErrSignature) {
		t.Errorf("VerifySigned with another key = %v, want %v", err, artifact.ErrSignature)
	}
}

// withoutHeader is what is signed directly.
func withoutHeader(text []byte) []byte {
	return bytes.Clone(text[:bytes.Index(text, []byte("\n\n"))+1])
}

// maxExcerpt is slot.MaxExcerpt, on a higher floor.
const maxExcerpt = 3072

// TestSignedIsBounded fails when a slot could not keep what is signed for the
// header's sake.
func TestSignedIsBounded(t *testing.T) {
	signer, err := artifact.ParsePrivateKey(newECDSA(t).PKCS8)
	check(t, err)
	for _, n := range []int{0, 1000, 20_000} {
		noise := make([]byte, n)
		_, _ = rand.Read(noise)
		text := signedText(t, signer, func(s *artifact.Spec) { s.MetaData = fmt.Appendf(nil, `{"x":"%x"}`, noise) })
		if len(text) > maxExcerpt || bytes.Contains(text, []byte("\n\n")) != (n < 20_000) {
			t.Errorf("with %d bytes of noise in the header: %d bytes, header kept: %v", n, len(text), bytes.Contains(text, []byte("\n\n")))
		}
	}
}

func signedText(t *testing.T, s artifact.Signer, more ...func(*artifact.Spec)) []byte {
	t.Helper()
	security := uint64(7)
	spec := artifact.Spec{Name: "r1", DeviceTypes: []string{"x"}, PayloadType: "rootfs-image", Signer: s,
		Provides: artifact.Software{SecurityVersion: &security}.Provides(),
		Files: []artifact.Source{{Name: "image", Size: 5, Open: func() (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader("image")), nil
		}}}}
	for _, f := range more {
		f(&spec)
	}
	var out bytes.Buffer
	check(t, artifact.Write(&out, spec))
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
