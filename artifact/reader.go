package artifact

import "io"

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
	// on what came before. The caller must then Close the Reader.
	ReadAhead bool
}

// A Reader reads one artifact from a stream, strictly front to back.
// An error of the stream itself comes back wrapped, and is never mistaken for
// a fault of the artifact; after any error the Reader is done.
type Reader struct{}

// NewReader reads up to the payload. When it returns, the signature over the
// manifest was verified and all of the header had the manifest's sum.
func NewReader(r io.Reader, opts ReaderOptions) (*Reader, error) { panic("soon") }

// Header returns what the artifact says about itself.
func (r *Reader) Header() *Header { panic("soon") }

// Next returns the next payload file, after it has read the one before to its
// end. It returns io.EOF after the last one, and only when every file had its
// sum, every line of the manifest had its file, and nothing followed.
// Until then, what was read must not be activated.
func (r *Reader) Next() (*File, error) { panic("soon") }

// Close frees what unpacks the payload. It does not close the stream.
func (r *Reader) Close() error { panic("soon") }

// A File is one payload file. Its Read returns ErrChecksum in place of io.EOF
// when the content differs from the manifest; what was read before is then
// worthless. It is valid until the next call of Reader.Next.
type File struct {
	Name   string // no path
	Size   int64  // bytes
	SHA256 Digest // from the manifest
}

func (f *File) Read(p []byte) (int, error) { panic("soon") }

// Verify reads all of an artifact and returns its header: it is whole, its
// signature is by one of the keys, and every rule holds.
func Verify(r io.Reader, opts ReaderOptions) (*Header, error) { panic("soon") }
