package sbl

import (
	"bytes"
	"fmt"
	"io"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/boot/register"
)

// A copied flash is a register's room on a disk, copied into memory: a look at
// it changes nothing on the disk, though a register may settle when it is read.
type copied []byte

// Geometry of a register on a disk; package register fixes it.
const (
	copiedSector = register.DiskSize / 2
	copiedUnit   = 4096
)

var _ register.Flash = copied(nil)

func (c copied) SectorSize() int                         { return copiedSector }
func (c copied) ProgramUnit() int                        { return copiedUnit }
func (c copied) ReadAt(p []byte, off int64) (int, error) { return copy(p, c[off:]), nil }
func (c copied) Program(p []byte, off int64) error       { copy(c[off:], p); return nil }
func (c copied) Erase(n int) error {
	copy(c[n*copiedSector:], bytes.Repeat([]byte{0xff}, copiedSector))
	return nil
}

// peek returns a register that begins as b's and leaves b's alone.
func (b board) peek() (boot.Env, error) {
	f, err := b.section(b.state)
	if err != nil {
		return nil, fmt.Errorf("open register: %w", err)
	}
	defer f.Close()
	c := make(copied, register.DiskSize)
	if _, err := io.ReadFull(f, c); err != nil {
		return nil, fmt.Errorf("read register: %w", err)
	}
	return register.Open(c)
}

// register opens the register of a board, to be written.
func (b board) register() (boot.Env, io.Closer, error) {
	d, err := register.File(b.path(b.state))
	if err != nil {
		return nil, nil, err
	}
	r, err := register.Open(d)
	return r, d, err
}
