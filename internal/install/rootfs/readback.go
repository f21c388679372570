package rootfs

import (
	"syscall"

	"github.com/moult-ota/moult/internal/slot"
)

// A medium is what a slot's file can do beside slot.File: read past the page
// cache, and begin to store. Package slot looks for these by name.
type medium interface {
	slot.File
	ReadUncachedAt(p []byte, off int64) (int, error)
	Flush(off, n int64)
}

// A prefetcher is a medium that reads the next piece while the caller hashes
// the last one. Reading back takes as long as the slower of the two, not as
// both.
type prefetcher struct {
	medium
	next    []byte // whole pages, as reading past the cache needs; nil until used
	off     int64  // where next begins
	pending chan result
}

type result struct {
	n   int
	err error
}

// prefetch returns f with prefetching, or f itself when it has no medium.
func prefetch(f slot.File) slot.File {
	if m, ok := f.(medium); ok {
		return &prefetcher{medium: m}
	}
	return f
}

// ReadUncachedAt returns what was fetched before, when that is what is asked
// for, and fetches what likely comes next.
func (p *prefetcher) ReadUncachedAt(b []byte, off int64) (int, error) {
	n, err, ok := p.take(b, off)
	if !ok {
		n, err = p.medium.ReadUncachedAt(b, off)
	}
	if err == nil && n == len(b) {
		p.fetch(off+int64(n), n)
	}
	return n, err
}

// take waits for the piece under way and uses it when it fits.
func (p *prefetcher) take(b []byte, off int64) (n int, err error, ok bool) {
	r := p.settle()
	if r == nil || p.off != off || r.err != nil || r.n < len(b) {
		return 0, nil, false // asked again, the medium says what is wrong
	}
	return copy(b, p.next[:len(b)]), nil, true
}

// settle returns the result of the piece under way, nil when there is none.
func (p *prefetcher) settle() *result {
	if p.pending == nil {
		return nil
	}
	r := <-p.pending
	p.pending = nil
	return &r
}

func (p *prefetcher) fetch(off int64, n int) {
	if len(p.next) < n {
		p.free()
		pages, err := syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		if err != nil {
			return // it goes without, too
		}
		p.next = pages
	}
	p.off, p.pending = off, make(chan result, 1)
	go func(pending chan<- result) {
		n, err := p.medium.ReadUncachedAt(p.next[:n], off)
		pending <- result{n, err}
	}(p.pending)
}

func (p *prefetcher) free() {
	if p.next != nil {
		_ = syscall.Munmap(p.next)
		p.next = nil
	}
}

// Close waits for what is under way.
func (p *prefetcher) Close() error {
	p.settle()
	p.free()
	return p.medium.Close()
}
