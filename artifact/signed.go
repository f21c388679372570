package artifact

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// maxSigned bounds what Signed returns with a header, in bytes.
const maxSigned = 3 << 10

// Signed returns what another program needs to see for itself what was signed:
// the line of manifest.sig, a line feed, and the manifest; then, when there is
// room for it in 3 KiB, a line feed and the header as it is stored, header.tar
// with its compression. It returns nil for an artifact without a signature.
func (r *Reader) Signed() []byte { return r.signed }

func (r *Reader) keep(header []byte) {
	if r.signed != nil && len(r.signed)+1+len(header) <= maxSigned {
		r.signed = slices.Concat(r.signed, []byte("\n"), header)
	}
}

// VerifySigned returns nil when text is what Signed returned, one of keys made
// the signature in it, and a payload file of that manifest has the sum. The
// Header is that of the artifact, or nil when text has none.
// Errors are RuleErrors, and ErrNoKey when there are no keys.
func VerifySigned(text []byte, keys []Verifier, sum Digest) (*Header, error) {
	if len(keys) == 0 {
		return nil, broken(RuleNoKey, entrySignature, "no key to verify the signature with")
	}
	sig, rest, ok := bytes.Cut(text, []byte("\n"))
	if !ok {
		return nil, broken(RuleUnsigned, entrySignature, "there is no signature")
	}
	signed, packed, has := bytes.Cut(rest, []byte("\n\n")) // a manifest has no empty line
	if has {
		signed = rest[:len(signed)+1]
	}
	src, _ := newSource(bytes.NewReader(nil))
	r := &Reader{src: src, opts: ReaderOptions{Keys: keys}, limits: Limits{}.orDefaults()}
	err := r.verify(signed, sig)
	if err == nil {
		r.manifest, err = parseManifest(signed, r.limits)
	}
	if err != nil {
		return nil, err
	}
	if !r.manifest.hasPayload(sum) {
		return nil, fmt.Errorf("look for an image in the manifest: %w", broken(RuleManifest, entryManifest, "no payload file has the sum %x", sum))
	}
	if !has {
		return nil, nil
	}
	return r.keptHeader(packed)
}

func (m *manifest) hasPayload(sum Digest) bool {
	for name, s := range m.sums {
		if s == sum && strings.HasPrefix(name, dataFolder) {
			return true
		}
	}
	return false
}

// keptHeader parses the header that a manifest lists.
func (r *Reader) keptHeader(packed []byte) (*Header, error) {
	for name := range r.manifest.sums {
		c, ok := compressionOf(name, entryHeader)
		if !ok {
			continue
		}
		err := r.manifest.check(name, packed)
		if err == nil {
			err = r.parseHeader(name, c, packed)
		}
		return &r.header, err
	}
	return nil, broken(RuleMissing, entryHeader, "the manifest does not list it")
}
