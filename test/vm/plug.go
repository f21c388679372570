package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
)

// A plug is where a machine's disk is plugged in: a server of the Network
// Block Device protocol for QEMU. What the machine has not flushed is kept in
// memory, and some of it is lost at a power cut, as in a disk's own cache.
type plug struct {
	disk *disk
	l    net.Listener

	mu      sync.Mutex
	f       *os.File
	size    int64
	cached  []sector         // not flushed, in the order of writing
	newest  map[int64][]byte // of them, by number
	trap    trap
	tripped chan struct{} // closed when the trap went off
}

// A sector is a write of 512 bytes.
type sector struct {
	n int64
	p []byte
}

const sectorSize = 512

// A trap stops the disk, perhaps in the middle of a write.
type trap struct {
	from, to int64 // of the disk's sectors
	writes   int   // goes off when so many of them were written; 0: never
}

// newPlug serves a disk at the address that it returns.
func newPlug(disk *disk, socket string) (*plug, error) {
	_ = os.Remove(socket)
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("plug in disk: %w", err)
	}
	f, err := os.OpenFile(disk.path, os.O_RDWR, 0)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("plug in disk: %w", err), l.Close())
	}
	size, err := f.Seek(0, io.SeekEnd)
	p := &plug{disk: disk, l: l, f: f, size: size, newest: map[int64][]byte{}, tripped: make(chan struct{})}
	go p.accept()
	return p, err
}

func (p *plug) accept() {
	for {
		c, err := p.l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			if err := p.greet(c); err == nil {
				_ = p.serve(c) // it ends when the machine has no power
			}
		}()
	}
}

func (p *plug) close() { _ = errors.Join(p.l.Close(), p.f.Close()) }

func (p *plug) read(b []byte, off int64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := p.f.ReadAt(b, off); err != nil {
		return err
	}
	for i := 0; len(p.newest) > 0 && i < len(b); i += sectorSize {
		copy(b[i:min(i+sectorSize, len(b))], p.newest[(off+int64(i))/sectorSize])
	}
	return nil
}

// errTripped: the power goes now.
var errTripped = errors.New("the trap went off")

func (p *plug) write(b []byte, off int64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := 0; i < len(b); i += sectorSize {
		s := sector{(off + int64(i)) / sectorSize, b[i : i+sectorSize]}
		p.cached, p.newest[s.n] = append(p.cached, s), s.p
		if t := &p.trap; t.writes > 0 && s.n >= t.from && s.n < t.to {
			if t.writes--; t.writes == 0 {
				close(p.tripped)
				return errTripped
			}
		}
	}
	return nil
}

func (p *plug) flush() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n, b := range p.newest {
		if _, err := p.f.WriteAt(b, n*sectorSize); err != nil {
			return err
		}
	}
	p.cached, p.newest = nil, map[int64][]byte{}
	return nil
}
