package artifact

import (
	"bytes"
	"fmt"
	"strings"
)

// Signed returns what another program needs to see for itself that a payload
// file was signed: the line of manifest.sig, a line feed, and the manifest.
// It returns nil for an artifact without a signature.
func (r *Reader) Signed() []byte { return r.signed }

// VerifySigned returns nil when text is what Signed returned, one of keys made
// the signature in it, and a payload file of that manifest has the sum.
// Errors are RuleErrors, and ErrNoKey when there are no keys.
func VerifySigned(text []byte, keys []Verifier, sum Digest) error {
	if len(keys) == 0 {
		return broken(RuleNoKey, entrySignature, "no key to verify the signature with")
	}
	sig, signed, ok := bytes.Cut(text, []byte("\n"))
	if !ok {
		return broken(RuleUnsigned, entrySignature, "there is no signature")
	}
	r := &Reader{opts: ReaderOptions{Keys: keys}}
	if err := r.verify(signed, sig); err != nil {
		return err
	}
	m, err := parseManifest(signed, Limits{}.orDefaults())
	if err != nil {
		return err
	}
	for name, s := range m.sums {
		if s == sum && strings.HasPrefix(name, dataFolder) {
			return nil
		}
	}
	return fmt.Errorf("look for an image in the manifest: %w", broken(RuleManifest, entryManifest, "no payload file has the sum %x", sum))
}
