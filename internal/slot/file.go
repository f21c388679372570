package slot

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// A File is a slot's storage: a partition, a plain file or a simulated disk.
// Its size is fixed; the last DescriptorSize bytes (rounded down to a multiple
// of it) are the descriptor's.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync returns when all that was written survives a power cut.
	Sync() error
	Size() (int64, error)
}

// An uncachedReader is a File that can read from the medium itself, so that a
// read-back proves what is stored and not what is cached. off and len(p) are
// multiples of the page size, and p starts on a page.
type uncachedReader interface {
	ReadUncachedAt(p []byte, off int64) (int, error)
}

// A flusher is a File that can begin to store what was written without waiting
// for it, so that the final Sync has little left to do.
type flusher interface {
	Flush(off, n int64)
}

// How flush flushes: SYNC_FILE_RANGE_WAIT_BEFORE, _WRITE and _WAIT_AFTER.
const (
	syncWaitBefore = 1
	syncWrite      = 2
	syncWaitAfter  = 4
)

// disk is a File of the operating system.
type disk struct {
	*os.File
	direct   *os.File // opened past the page cache, on first use
	noDirect bool     // the file system has no such thing
}

// OpenFile opens a partition or a plain file as a slot. A plain file must have
// its size already; see CreateFile.
func OpenFile(path string) (File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open slot: %w", err)
	}
	return &disk{File: f}, nil
}

// CreateFile makes an empty plain file of size bytes and opens it as a slot.
// A file that is there already keeps its contents and gets the size.
func CreateFile(path string, size int64) (File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create slot: %w", err)
	}
	if err := f.Truncate(size); err != nil {
		f.Close()
		return nil, fmt.Errorf("size slot: %w", err)
	}
	return &disk{File: f}, nil
}

// Size seeks, because a partition's length is not in its Stat.
func (d *disk) Size() (int64, error) {
	n, err := d.File.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, fmt.Errorf("size slot: %w", err)
	}
	return n, nil
}

func (d *disk) Flush(off, n int64) { flush(d.File, off, n, syncWrite) }

func (d *disk) ReadUncachedAt(p []byte, off int64) (int, error) {
	if d.direct == nil && !d.noDirect {
		f, err := openDirect(d.Name())
		d.direct, d.noDirect = f, err != nil
	}
	if d.noDirect {
		return d.ReadAt(p, off)
	}
	// A direct read waits until what it reads is stored, and keeps writers of
	// the file waiting with it. So wait before.
	flush(d.File, off, int64(len(p)), syncWaitBefore|syncWrite|syncWaitAfter)
	n, err := d.direct.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		d.noDirect = true // a file system may open directly and then not read so
		return d.ReadAt(p, off)
	}
	return n, err
}

func (d *disk) Close() error {
	if d.direct != nil {
		d.direct.Close()
	}
	return d.File.Close()
}
