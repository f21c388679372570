package artifact

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"io"
	"slices"
	"strings"
)

// open reads what comes before the payload:
//
//	version  manifest  [manifest.sig]  header.tar[.gz|.xz|.zst]
//
// Only the version is parsed before the signature was verified.
func (r *Reader) open() error {
	version, err := r.openNamed(entryVersion, maxVersion)
	if err != nil {
		return err
	}
	if r.header.Version, err = parseVersion(version); err != nil {
		return err
	}
	manifest, err := r.openNamed(entryManifest, r.limits.Manifest)
	if err != nil {
		return err
	}
	h, err := r.openSignature(manifest)
	if err != nil {
		return err
	}
	if r.manifest, err = parseManifest(manifest, r.limits); err != nil {
		return err
	}
	if err := r.manifest.check(entryVersion, version); err != nil {
		return err
	}
	return r.openHeader(h)
}

// openNamed reads the entry that must come next.
func (r *Reader) openNamed(name string, limit int64) ([]byte, error) {
	h, err := r.outer.next()
	if err == io.EOF {
		return nil, broken(RuleMissing, name, "not there")
	}
	if err != nil {
		return nil, err
	}
	if h.Name != name {
		return nil, r.strange(h.Name, "want "+name)
	}
	return r.outer.read(h, limit)
}

func parseVersion(b []byte) (int, error) {
	o, err := parseObject(b, entryVersion)
	if err != nil {
		return 0, err
	}
	format, _ := o.text("format")
	version := o.take("version")
	if err := o.done(); err != nil {
		return 0, err
	}
	if format != "mender" {
		return 0, broken(RuleVersion, entryVersion, "format %.40q, want mender", format)
	}
	switch version {
	case jsonTwo:
		return 2, nil
	case jsonThree:
		return 3, nil
	}
	return 0, broken(RuleVersion, entryVersion, "version %.40v, want 2 or 3", version)
}

// openSignature verifies manifest.sig if it is next, applies the rules on
// unsigned artifacts, and returns the entry after it.
func (r *Reader) openSignature(manifest []byte) (*tar.Header, error) {
	h, err := r.nextOrMissing(entryHeader)
	if err != nil {
		return nil, err
	}
	if h.Name != entrySignature {
		if len(r.opts.Keys) > 0 {
			return nil, broken(RuleUnsigned, entrySignature, "there is no signature")
		}
		return h, nil
	}
	text, err := r.outer.read(h, maxSignature)
	if err != nil {
		return nil, err
	}
	r.header.Signed = true
	r.signed = slices.Concat(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"), manifest)
	if err := r.verify(manifest, text); err != nil {
		return nil, err
	}
	return r.nextOrMissing(entryHeader)
}

func (r *Reader) verify(manifest, text []byte) error {
	sig, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSuffix(string(text), "\n"))
	if err != nil || bytes.ContainsAny(bytes.TrimSuffix(text, []byte("\n")), "\r\n") {
		return broken(RuleSignature, entrySignature, "not one line of base64")
	}
	if len(r.opts.Keys) == 0 {
		return nil
	}
	for _, key := range r.opts.Keys {
		if key.Verify(manifest, sig) == nil {
			r.header.Verified = true
			return nil
		}
	}
	return broken(RuleSignature, entrySignature, "none of %d keys verifies it", len(r.opts.Keys))
}

func (r *Reader) nextOrMissing(name string) (*tar.Header, error) {
	h, err := r.outer.next()
	if err == io.EOF {
		return nil, broken(RuleMissing, name, "not there")
	}
	return h, err
}

// openHeader compares all of the stored header with its sum, then parses it.
func (r *Reader) openHeader(h *tar.Header) error {
	c, ok := compressionOf(h.Name, entryHeader)
	if !ok {
		return r.strange(h.Name, "want "+entryHeader)
	}
	packed, err := r.outer.read(h, r.limits.Header)
	if err != nil {
		return err
	}
	if err := r.manifest.check(h.Name, packed); err != nil {
		return err
	}
	r.keep(packed)
	return r.parseHeader(h.Name, c, packed)
}

// parseHeader parses a header whose sum was right.
func (r *Reader) parseHeader(name string, c Compression, packed []byte) error {
	in, err := unpack(bytes.NewReader(packed), c, unpackOptions{window: r.limits.Window, where: name})
	if err != nil {
		return r.src.explain(err, RuleCompression, name)
	}
	defer in.close()
	r.header.Compression = c
	r.header.Files = r.manifest.files()
	r.header.Depends, r.header.Provides = map[string][]string{}, map[string]string{}
	p := headerParser{Header: &r.header, limits: r.limits}
	p.entries = newEntries(r.src, in, r.limits.HeaderUnpacked, name)
	return p.parse()
}

// strange says what is wrong with an entry that is not the wanted one.
func (r *Reader) strange(name, want string) error {
	_, isHeader := compressionOf(name, entryHeader)
	_, isData := compressionOf(name, entryData)
	switch {
	case strings.HasPrefix(name, "manifest-augment"), strings.HasPrefix(name, "header-augment"):
		return broken(RuleUnknown, name, "augmented artifacts are not supported: nobody signs that part")
	case strings.HasPrefix(name, "data/") && r.payload != nil:
		return broken(RuleTwoPayloads, name, "a second payload")
	case isHeader, isData, name == entryVersion, name == entryManifest, name == entrySignature:
		return broken(RuleOrder, name, "out of order, %s", want)
	default:
		return broken(RuleUnknown, orArtifact(name), "no part of an artifact, %s", want)
	}
}
