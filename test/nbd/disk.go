package nbd

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
)

// sector is what a real disk writes as a whole, in bytes.
const sector = 512

// A Disk is a file, and what was written to it and not flushed yet.
type Disk struct {
	size int64

	mu      sync.Mutex
	safe    *os.File // what was flushed
	seen    *os.File // what the machine reads: all that was written
	pending []write
	counts  Counts
	errs    []error
}

type write struct {
	at int64
	p  []byte
}

// Counts is what happened on a Disk.
type Counts struct {
	Writes, Flushes  int
	Lost, Torn, Kept int // of the writes that cuts hit
}

// Open opens the disk image at path. Beside it a copy is made, which is
// removed by Close.
func Open(path string) (*Disk, error) {
	safe, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open disk: %w", err)
	}
	seen, err := os.OpenFile(path+".seen", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		safe.Close()
		return nil, fmt.Errorf("open disk: %w", err)
	}
	d := &Disk{safe: safe, seen: seen}
	if err := d.refresh(); err != nil {
		d.Close()
		return nil, fmt.Errorf("open disk: %w", err)
	}
	return d, nil
}

// refresh makes seen what is safe, keeping holes.
func (d *Disk) refresh() error {
	fi, err := d.safe.Stat()
	if err != nil {
		return err
	}
	d.size = fi.Size()
	if err := d.seen.Truncate(0); err != nil {
		return err
	}
	if err := d.seen.Truncate(d.size); err != nil {
		return err
	}
	buf := make([]byte, 1<<20)
	zero := make([]byte, len(buf))
	for at := int64(0); at < d.size; at += int64(len(buf)) {
		n, err := d.safe.ReadAt(buf, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if string(buf[:n]) == string(zero[:n]) {
			continue
		}
		if _, err := d.seen.WriteAt(buf[:n], at); err != nil {
			return err
		}
	}
	return nil
}

func (d *Disk) inside(n int, at int64) error {
	if at < 0 || at > d.size || int64(n) > d.size-at {
		return fmt.Errorf("%d bytes at %d, the disk has %d", n, at, d.size)
	}
	return nil
}

func (d *Disk) read(p []byte, at int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.inside(len(p), at); err != nil {
		return err
	}
	_, err := d.seen.ReadAt(p, at)
	return err
}

func (d *Disk) write(p []byte, at int64, through bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.inside(len(p), at); err != nil {
		return err
	}
	d.counts.Writes++
	d.pending = append(d.pending, write{at, p})
	if _, err := d.seen.WriteAt(p, at); err != nil {
		return err
	}
	const most = 64 << 20 // bytes that wait; a disk's cache is not larger
	if through || d.waiting() > most {
		return d.settle()
	}
	return nil
}

func (d *Disk) waiting() (n int) {
	for _, w := range d.pending {
		n += len(w.p)
	}
	return n
}

func (d *Disk) flush() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts.Flushes++
	return d.settle()
}

// settle makes all that was written safe.
func (d *Disk) settle() error {
	for _, w := range d.pending {
		if _, err := d.safe.WriteAt(w.p, w.at); err != nil {
			return err
		}
	}
	d.pending = nil
	return nil
}

// Cut is the power cut: of the writes that were not flushed, in any order,
// some are kept, some are lost, and some stop at a sector. The machine must be
// gone. The next one finds the result.
func (d *Disk) Cut(r *rand.Rand) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, i := range r.Perm(len(d.pending)) {
		w := d.pending[i]
		switch r.IntN(4) {
		case 0, 1:
			d.counts.Lost++
			continue
		case 2:
			d.counts.Torn++
			w.p = w.p[:r.IntN(len(w.p)/sector+1)*sector]
		default:
			d.counts.Kept++
		}
		if _, err := d.safe.WriteAt(w.p, w.at); err != nil {
			return fmt.Errorf("cut the power: %w", err)
		}
	}
	d.pending = nil
	return d.refresh()
}

// Counts returns what happened since Open.
func (d *Disk) Counts() Counts {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.counts
}

func (d *Disk) note(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.errs = append(d.errs, err)
}

// Close stores everything, and says what went wrong since Open.
func (d *Disk) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := errors.Join(errors.Join(d.errs...), d.settle(), d.safe.Close(), d.seen.Close())
	return errors.Join(err, os.Remove(d.seen.Name()))
}
