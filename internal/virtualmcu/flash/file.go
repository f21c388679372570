package flash

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// A file is where a flash is kept.
type file interface {
	io.WriterAt
	io.Closer
}

// Open returns the flash that is kept in a file. A file that is not there is
// made, erased. What was programmed is there after the program was killed; it
// is not flushed against a power cut of the host.
func Open(path string, g Geometry) (*Flash, error) {
	if err := g.check(); err != nil {
		return nil, fmt.Errorf("open flash: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open flash: %w", err)
	}
	mem, err := load(f, g.Size())
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open flash: %w", err)
	}
	return &Flash{Geometry: g, mem: mem, file: f}, nil
}

func load(f *os.File, size int) ([]byte, error) {
	mem, err := io.ReadAll(io.LimitReader(f, int64(size)+1))
	if err != nil {
		return nil, err
	}
	switch len(mem) {
	case size:
		return mem, nil
	case 0:
		mem = bytes.Repeat([]byte{Erased}, size)
		_, err = f.WriteAt(mem, 0)
		return mem, err
	}
	return nil, fmt.Errorf("%s is not a flash of %d bytes; remove it, or name another file", f.Name(), size)
}

func (f *Flash) write(off, n int) error {
	if f.file == nil {
		return nil
	}
	if _, err := f.file.WriteAt(f.mem[off:off+n], int64(off)); err != nil {
		return fmt.Errorf("keep flash: %w", err)
	}
	return nil
}

// Close lets go of the file.
func (f *Flash) Close() error {
	if f.file == nil {
		return nil
	}
	return f.file.Close()
}
