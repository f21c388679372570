// Package blob keeps the bytes of artifacts, named by their SHA-256.
// It does not know what the bytes mean, nor who may read them.
package blob

import (
	"context"
	"errors"
	"io"
)

var (
	ErrNotFound = errors.New("no such blob")
	// ErrFull: the place where blobs are kept has no room left.
	ErrFull = errors.New("no space left for blobs")
)

// A Store keeps blobs. Its methods may be called from several goroutines.
type Store interface {
	// Create starts a new blob. Nothing is visible before Writer.Commit.
	Create(ctx context.Context) (Writer, error)

	// Open opens the blob whose SHA-256 is sum (64 lower-case hexadecimal
	// digits) and returns its size in bytes, or ErrNotFound.
	Open(ctx context.Context, sum string) (Reader, int64, error)

	// Delete forgets a blob; one that is not there is no error.
	// Readers that are open may still read to the end.
	Delete(ctx context.Context, sum string) error
}

// A Writer receives one blob. Close without Commit forgets what was written;
// after Commit it does nothing. A killed process leaves nothing behind that
// outlives the next start.
type Writer interface {
	io.Writer
	// Sum is the SHA-256 of what was written so far: the name that Commit
	// would give it, for who must write that name down first.
	Sum() string
	// Commit makes the blob visible and durable: after it returned nil, a
	// power cut does not lose it. Bytes that are there already are no error.
	Commit() (sum string, size int64, err error)
	Close() error
}

// A Reader reads one blob. A Reader that is an *os.File lets the kernel send it.
type Reader interface {
	io.ReadSeekCloser
	io.ReaderAt
}
