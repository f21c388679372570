package slot

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"syscall"
)

const (
	block      = 16 << 10 // bytes compared and skipped at once; divides chunk
	probing    = 4        // chunks that differ all through, then only one block of each is compared
	flushEvery = 8 << 20  // bytes after which storing is begun in the background
)

// ErrTooLarge means that an image does not fit the slot.
var ErrTooLarge = errors.New("image is larger than the slot")

// A StreamError means that the slot holds what came, and that what came is not
// the image that the descriptor names. The medium is not to blame.
type StreamError struct{ Got, Want [32]byte }

func (e *StreamError) Error() string {
	return fmt.Sprintf("image with SHA-256 %x came, want %x", e.Got, e.Want)
}

// Stats counts what a Writer did, in bytes.
type Stats struct {
	Written int64 // bytes that differed and were written
	Skipped int64 // bytes that were there already
}

// A Writer streams an image into a slot that is not in use. It writes only
// what differs; so an interrupted installation goes on where it stopped when
// the image is streamed again from its start.
//
// Before the first byte changes, the slot's descriptor is invalidated. From
// there until Finish returns nil, Check fails.
type Writer struct {
	f       File
	room    int64  // bytes an image may have
	off     int64  // bytes of the image in the slot
	chunk   []byte // bytes not yet in the slot
	old     []byte // what the slot holds there
	differ  int    // chunks in a row that differed all through
	opened  bool   // the descriptor is invalid
	flushed int64  // bytes whose storing was begun
	came    uint32 // CRC of what was given to Write
	trail   *trail // reads back behind the writing; nil: all at the end
	stats   Stats
	err     error
}

// NewWriter returns a Writer into f for an image of size bytes; size 0 means
// not known yet. An image that is known not to fit is refused here, before
// anything changes.
func NewWriter(f File, size int64) (*Writer, error) {
	room, err := Capacity(f)
	if err != nil {
		return nil, err
	}
	if size > room {
		return nil, fmt.Errorf("write image of %d bytes, slot has room for %d: %w", size, room, ErrTooLarge)
	}
	n := int64(chunk)
	if size > 0 {
		n = min(n, (size+block-1)/block*block)
	}
	return &Writer{f: f, room: room, chunk: make([]byte, 0, n)}, nil
}

// Write takes the next bytes of the image. An error ends the Writer.
func (w *Writer) Write(p []byte) (int, error) {
	total := len(p)
	w.came = crc32.Update(w.came, castagnoli, p)
	for len(p) > 0 && w.err == nil {
		n := min(len(p), cap(w.chunk)-len(w.chunk))
		w.chunk = append(w.chunk, p[:n]...)
		p = p[n:]
		if len(w.chunk) == cap(w.chunk) {
			w.err = w.put()
		}
	}
	return total - len(p), w.err
}

// ReadBehind has the image read back while it is written, some way behind,
// instead of all of it in Finish. spawn runs a function beside the caller, as
// a go statement does. Call it before the first Write; and before the file is
// closed, whether or not Finish was called, call Stop.
func (w *Writer) ReadBehind(spawn func(func())) {
	w.trail = newTrail(uncached(w.f))
	spawn(w.trail.read)
	spawn(w.trail.sum)
}

// Stop waits until what spawn began has ended.
func (w *Writer) Stop() {
	if w.trail != nil {
		w.trail.stop()
	}
}

// Finish stores the last bytes, reads the whole image back from the medium and
// compares it with d, and only then writes d into the slot. The error is a
// StreamError when the image came as it is stored: nobody need have summed it
// before. When Finish returned nil, Check passes, whatever the power does.
func (w *Writer) Finish(d Descriptor) error {
	if w.err == nil {
		w.err = w.finish(d)
	}
	err := w.err
	w.err = errors.New("write image: already finished")
	return err
}

// Stats returns what was written and skipped so far.
func (w *Writer) Stats() Stats { return w.stats }

func (w *Writer) finish(d Descriptor) error {
	page, err := AppendDescriptor(nil, d)
	if err != nil {
		return err
	}
	if err := w.put(); err != nil {
		return err
	}
	if d.Length != w.off {
		return fmt.Errorf("finish image: %d bytes came, descriptor says %d: %w", w.off, d.Length, ErrDigest)
	}
	if err := w.f.Sync(); err != nil {
		return writing("store image", err)
	}
	if err := w.readBack(d); err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	return w.seal(page)
}

func (w *Writer) readBack(d Descriptor) error {
	s, err := w.stored()
	switch {
	case err != nil:
		return err
	case s.sha256() == d.SHA256:
		return nil
	case s.crc == w.came:
		return &StreamError{s.sha256(), d.SHA256}
	}
	return fmt.Errorf("verify image of %d bytes: %w", d.Length, ErrDigest)
}

// stored sums what is on the medium.
func (w *Writer) stored() (*sums, error) {
	if w.trail == nil {
		return uncached(w.f).readAll(w.off)
	}
	w.trail.upTo(w.off)
	w.trail.stop()
	return w.trail.sums, w.trail.err
}

// seal writes the descriptor and sees it stored.
func (w *Writer) seal(page []byte) error {
	if _, err := w.f.WriteAt(page, w.room); err != nil {
		return writing("write slot descriptor", err)
	}
	if err := w.f.Sync(); err != nil {
		return writing("store slot descriptor", err)
	}
	again := Aligned(DescriptorSize)
	if n, err := uncached(w.f)(again, w.room); n < len(again) {
		return fmt.Errorf("read back slot descriptor: %w", err)
	}
	if !bytes.Equal(again, page) {
		return fmt.Errorf("read back slot descriptor: %w", ErrDescriptor)
	}
	return nil
}

// put brings the chunk into the slot.
func (w *Writer) put() error {
	p := w.chunk
	w.chunk = p[:0]
	if int64(len(p)) > w.room-w.off {
		return fmt.Errorf("write image: %d bytes came, slot has room for %d: %w", w.off+int64(len(p)), w.room, ErrTooLarge)
	}
	if w.differ >= probing && w.differs(p[:min(len(p), block)]) {
		return w.write(p) // nothing similar here: do not read all of it
	}
	if !w.read(len(p)) {
		return w.write(p)
	}
	return w.putBlocks(p)
}

// putBlocks writes the runs of blocks of p that differ from old.
func (w *Writer) putBlocks(p []byte) error {
	same := 0
	for at := 0; at < len(p); {
		from := at
		for at < len(p) && !equalBlock(p, w.old, at) {
			at += block
		}
		if err := w.write(p[from:min(at, len(p))]); err != nil {
			return err
		}
		from = min(at, len(p))
		for at < len(p) && equalBlock(p, w.old, at) {
			at += block
		}
		same += min(at, len(p)) - from
		w.skip(min(at, len(p)) - from)
	}
	w.differ++
	if same > 0 {
		w.differ = 0
	}
	return nil
}

func equalBlock(p, old []byte, at int) bool {
	end := min(at+block, len(p))
	return bytes.Equal(p[at:end], old[at:end])
}

// differs reports whether the slot holds something else than p.
func (w *Writer) differs(p []byte) bool {
	return !w.read(len(p)) || !bytes.Equal(p, w.old)
}

// read fills old with the n bytes that the slot holds at off. What cannot be
// read counts as different: it will be written, and read back.
func (w *Writer) read(n int) bool {
	if cap(w.old) < n {
		w.old = make([]byte, n)
	}
	w.old = w.old[:n]
	got, _ := w.f.ReadAt(w.old, w.off)
	return got == n
}

// write writes p where the image goes on.
func (w *Writer) write(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if err := w.invalidate(); err != nil {
		return err
	}
	if n, err := w.f.WriteAt(p, w.off); err != nil {
		return writing(fmt.Sprintf("write image at %d", w.off+int64(n)), err)
	}
	w.off += int64(len(p))
	w.stats.Written += int64(len(p))
	w.flush()
	return nil
}

func (w *Writer) skip(n int) {
	w.off += int64(n)
	w.stats.Skipped += int64(n)
	w.flush()
}

// flush begins to store what came since the last time. What was begun then is
// likely stored by now, and may be read back.
func (w *Writer) flush() {
	if w.off-w.flushed < flushEvery {
		return
	}
	if fl, ok := w.f.(flusher); ok {
		fl.Flush(w.flushed, w.off-w.flushed)
	}
	if w.trail != nil {
		w.trail.upTo(w.flushed)
	}
	w.flushed = w.off
}

// invalidate wipes the descriptor, once, before the image it names changes.
func (w *Writer) invalidate() error {
	if w.opened {
		return nil
	}
	if _, err := w.f.WriteAt(make([]byte, DescriptorSize), w.room); err != nil {
		return writing("invalidate slot descriptor", err)
	}
	if err := w.f.Sync(); err != nil {
		return writing("invalidate slot descriptor", err)
	}
	w.opened = true
	return nil
}

func uncached(f File) readAt {
	if u, ok := f.(uncachedReader); ok {
		return u.ReadUncachedAt
	}
	return f.ReadAt
}

// writing wraps an error of the storage, and says so when it is full.
func writing(act string, err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("%s: the disk below the slot is full; make room and install again: %w", act, err)
	}
	return fmt.Errorf("%s: %w", act, err)
}
