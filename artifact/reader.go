package artifact

import (
	"bytes"
	"fmt"
	"hash"
	"io"

	"crypto/sha256"
)

// ReaderOptions say whom a Reader believes. The zero value refuses everything.
type ReaderOptions struct {
	// Keys verify the signature; any one of them is enough. With keys, an
	// artifact without a signature is refused (ErrUnsigned).
	Keys []Verifier
	// AllowUnsigned lets a reader without Keys go on, signed or not: for a desk
	// tool, or a server that looks at an upload. Without it and without Keys
	// every artifact is refused (ErrNoKey). With Keys it changes nothing.
	AllowUnsigned bool
	// Limits bound what a file may cost; zero means the defaults.
	Limits Limits
	// ReadAhead unpacks the payload in the background while the caller works
	// on what came before. The caller must then Close the Reader, and leave
	// the stream alone afterwards.
	ReadAhead bool
}

// A Reader reads one artifact from a stream, strictly front to back.
// An error of the stream itself comes back wrapped, and is never mistaken for
// a fault of the artifact; after any error the Reader is done.
type Reader struct {
	src      *source
	opts     ReaderOptions
	limits   Limits
	outer    *entries
	manifest *manifest
	header   Header
	signed   []byte   // see Signed
	payload  *payload // nil before the first Next
	file     *File
	err      error // of every later Next
}

// NewReader reads up to the payload. When it returns, the signature over the
// manifest was verified and all of the header had the manifest's sum.
func NewReader(r io.Reader, opts ReaderOptions) (*Reader, error) {
	if len(opts.Keys) == 0 && !opts.AllowUnsigned {
		return nil, broken(RuleNoKey, entrySignature, "no key to verify the signature with")
	}
	src, in := newSource(r)
	const unlimited = 1 << 62 // each entry has its own limit
	a := &Reader{src: src, opts: opts, limits: opts.Limits.orDefaults()}
	a.outer = newEntries(src, in, unlimited, "")
	if err := a.open(); err != nil {
		return nil, err
	}
	return a, nil
}

// Header returns what the artifact says about itself.
func (r *Reader) Header() *Header { return &r.header }

// Next returns the next payload file, after it has read the one before to its
// end. It returns io.EOF after the last one, and only when every file had its
// sum (but see File.SumLater), every line of the manifest had its file, and nothing followed.
// Until then, what was read must not be activated.
func (r *Reader) Next() (*File, error) {
	if r.err == nil {
		r.file, r.err = r.next()
	}
	if r.err != nil {
		return nil, r.err
	}
	return r.file, nil
}

// Close frees what unpacks the payload. It does not close the stream.
func (r *Reader) Close() error {
	if r.err == nil {
		r.err = fmt.Errorf("read artifact: %w", io.ErrClosedPipe)
	}
	if r.payload != nil {
		r.payload.close()
	}
	return nil
}

func (r *Reader) next() (*File, error) {
	if r.file != nil {
		if _, err := io.CopyBuffer(discard{}, r.file, make([]byte, 256<<10)); err != nil {
			return nil, err
		}
	}
	if r.payload == nil {
		if err := r.openPayload(); err != nil {
			return nil, err
		}
	}
	h, err := r.payload.entries.next()
	if err == io.EOF {
		return nil, r.finish()
	}
	if err != nil {
		return nil, err
	}
	where := r.payload.entries.path(h.Name)
	if err := checkFileName(h.Name); err != nil {
		return nil, broken(RuleName, where, "%v", err)
	}
	sum, err := r.manifest.visit(dataFolder+h.Name, where)
	if err != nil {
		return nil, err
	}
	return &File{Name: h.Name, Size: h.Size, SHA256: sum, in: r.payload.entries, hash: sha256.New()}, nil
}

// openPayload finds the payload in the outer tar.
func (r *Reader) openPayload() error {
	h, err := r.outer.next()
	if err == io.EOF {
		return broken(RuleMissing, entryData, "no payload")
	}
	if err != nil {
		return err
	}
	c, ok := compressionOf(h.Name, entryData)
	if !ok {
		return r.strange(h.Name, "want "+entryData)
	}
	r.payload, err = openPayload(r, h.Name, c)
	return err
}

// finish checks all that can follow the last file, and returns io.EOF.
func (r *Reader) finish() error {
	r.payload.close()
	h, err := r.outer.next()
	switch {
	case err == nil:
		return r.strange(h.Name, "want the end")
	case err != io.EOF:
		return err
	}
	if err := r.manifest.finish(); err != nil {
		return err
	}
	return io.EOF
}

// A File is one payload file. Its Read returns ErrChecksum in place of io.EOF
// when the content differs from the manifest; what was read before is then
// worthless. It is valid until the next call of Reader.Next.
type File struct {
	Name   string // no path
	Size   int64  // bytes
	SHA256 Digest // from the manifest

	in   *entries
	hash hash.Hash // nil: the caller sums
	err  error
}

// SumLater leaves the sum to the caller, who reads again what it stored
// anyway: neither Read nor Reader.Next then compare this file's content with
// SHA256. Call it before the first Read, and WrongSum when the sum differs.
func (f *File) SumLater() { f.hash = nil }

// WrongSum is the error for content whose sum is got and not SHA256.
func (f *File) WrongSum(got Digest) error { return wrongSum(f.in.path(f.Name), got, f.SHA256) }

func (f *File) Read(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	n, err := f.in.tar.Read(p)
	if f.hash != nil {
		f.hash.Write(p[:n])
	}
	if err != nil {
		f.err = f.end(err)
	}
	return n, f.err
}

func (f *File) end(err error) error {
	if err != io.EOF {
		return f.in.explain(err, f.Name)
	}
	if f.hash == nil {
		return io.EOF
	}
	if got := f.hash.Sum(nil); !bytes.Equal(got, f.SHA256[:]) {
		return wrongSum(f.in.path(f.Name), Digest(got), f.SHA256)
	}
	return io.EOF
}

// Verify reads all of an artifact and returns its header: it is whole, its
// signature is by one of the keys, and every rule holds.
func Verify(r io.Reader, opts ReaderOptions) (*Header, error) {
	a, err := NewReader(r, opts)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	for err == nil {
		_, err = a.Next()
	}
	if err != io.EOF {
		return nil, err
	}
	return a.Header(), nil
}

// discard is io.Discard without its small buffer.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
