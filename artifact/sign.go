package artifact

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
)

// Sign copies an artifact from src to dst with a new signature over its
// manifest, in place of the old one if any. Every other byte stays. It checks
// version and manifest, but not that the rest has the sums in the manifest:
// Verify first what came from elsewhere.
func Sign(dst io.Writer, src io.Reader, s Signer) error {
	in, stream := newSource(src)
	c := &copier{src: stream}
	c.entries = newEntries(in, c, 1<<62, "")
	manifest, err := c.readManifest()
	if err != nil {
		return err
	}
	if err := c.next(); err != nil {
		return err
	}
	sig, err := signature(s, manifest)
	if err != nil {
		return err
	}
	err = c.write(dst, sig)
	switch {
	case in.err != nil:
		return fmt.Errorf("read artifact: %w", in.err)
	case err != nil:
		return fmt.Errorf("write signed artifact: %w", err)
	}
	return nil
}

// A copier keeps the bytes that a tar reader has taken from src.
type copier struct {
	src     io.Reader
	taken   bytes.Buffer
	entries *entries
	head    []byte // all before the signature
	follow  []byte // what was taken after it
}

func (c *copier) Read(p []byte) (int, error) {
	n, err := c.src.Read(p)
	c.taken.Write(p[:n])
	return n, err
}

func (c *copier) readManifest() ([]byte, error) {
	r := Reader{outer: c.entries}
	version, err := r.openNamed(entryVersion, maxVersion)
	if err != nil {
		return nil, err
	}
	if _, err := parseVersion(version); err != nil {
		return nil, err
	}
	limits := Limits{}.orDefaults()
	text, err := r.openNamed(entryManifest, limits.Manifest)
	if err != nil {
		return nil, err
	}
	m, err := parseManifest(text, limits)
	if err != nil {
		return nil, err
	}
	return text, m.check(entryVersion, version)
}

// next finds where the signature goes, and skips the old one.
func (c *copier) next() error {
	end := c.entries.end
	h, err := c.nextEntry()
	if err != nil {
		return err
	}
	c.head = bytes.Clone(c.taken.Bytes()[:end])
	c.follow = bytes.Clone(c.taken.Bytes()[end:])
	if h.Name != entrySignature {
		return nil
	}
	if _, err := c.entries.read(h, maxSignature); err != nil {
		return err
	}
	end = c.entries.end
	if _, err := c.nextEntry(); err != nil {
		return err
	}
	c.follow = bytes.Clone(c.taken.Bytes()[end:])
	return nil
}

func (c *copier) nextEntry() (*tar.Header, error) {
	r := Reader{outer: c.entries}
	return r.nextOrMissing(entryHeader)
}

func (c *copier) write(dst io.Writer, sig []byte) error {
	if _, err := dst.Write(c.head); err != nil {
		return err
	}
	t := tar.NewWriter(dst)
	if err := addBytes(t, entrySignature, sig); err != nil {
		return err
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if _, err := dst.Write(c.follow); err != nil {
		return err
	}
	_, err := io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{c.src}, make([]byte, copyBuffer))
	return err
}
