// Package flash is a NOR flash of a microcontroller, in memory or in a file:
// sectors are erased to ones, units are programmed once, and the power can be
// cut at any operation.
package flash

import (
	"bytes"
	"errors"
	"fmt"
)

// Erased is what erased flash reads as.
const Erased = 0xff

// A Geometry is what a chip's data sheet says, in bytes.
type Geometry struct {
	Sector  int // what one erase erases
	Unit    int // what is programmed at once, and once only
	Sectors int
}

// Size is the size of the whole flash, in bytes.
func (g Geometry) Size() int { return g.Sector * g.Sectors }

// maxSize bounds a flash, in bytes: what stands in a microcontroller is smaller.
const maxSize = 64 << 20

func (g Geometry) check() error {
	if g.Unit < 1 || g.Sector < g.Unit || g.Sector%g.Unit != 0 || g.Sectors < 1 || g.Size() > maxSize {
		return fmt.Errorf("flash of %d sectors of %d bytes, programmed %d at once: want whole units, and %d bytes at most", g.Sectors, g.Sector, g.Unit, maxSize)
	}
	return nil
}

// Errors for callers that branch.
var (
	ErrPower = errors.New("power is off")
	ErrUnit  = errors.New("unit was programmed before and not erased since")
)

// A Flash is used by one goroutine at a time.
type Flash struct {
	Geometry

	mem   []byte
	file  file
	ops   int
	cut   Cut
	armed bool
	dead  bool
}

// New returns an erased flash in memory.
func New(g Geometry) (*Flash, error) {
	if err := g.check(); err != nil {
		return nil, err
	}
	return &Flash{Geometry: g, mem: bytes.Repeat([]byte{Erased}, g.Size())}, nil
}

// Clone returns another flash with the same contents, in memory, powered, with
// no cut ahead and no operation counted.
func (f *Flash) Clone() *Flash {
	return &Flash{Geometry: f.Geometry, mem: bytes.Clone(f.mem)}
}

// ReadAt fills p from off.
func (f *Flash) ReadAt(p []byte, off int64) (int, error) {
	if f.dead {
		return 0, ErrPower
	}
	if err := f.inside(off, len(p), 1); err != nil {
		return 0, fmt.Errorf("read flash: %w", err)
	}
	return copy(p, f.mem[off:]), nil
}

// Program stores p, whole units, at off. A unit may be programmed once after
// an erase; where p has only ones nothing is programmed.
func (f *Flash) Program(p []byte, off int64) error {
	if err := f.inside(off, len(p), f.Unit); err != nil {
		return fmt.Errorf("program flash: %w", err)
	}
	for i := 0; i < len(p); i += f.Unit {
		if at := int(off) + i; !Blank(p[i:i+f.Unit]) && !Blank(f.mem[at:at+f.Unit]) {
			return fmt.Errorf("program flash at %#x: %w", at, ErrUnit)
		}
	}
	return f.operate(int(off), len(p), func(now []byte) {
		for i := range now {
			now[i] &= p[i]
		}
	})
}

// Erase sets a sector to ones.
func (f *Flash) Erase(sector int) error {
	off := sector * f.Sector
	if err := f.inside(int64(off), f.Sector, f.Sector); err != nil {
		return fmt.Errorf("erase flash: %w", err)
	}
	return f.operate(off, f.Sector, func(now []byte) {
		for i := range now {
			now[i] = Erased
		}
	})
}

// operate changes n bytes at off, unless this is where the power is cut.
func (f *Flash) operate(off, n int, change func([]byte)) error {
	if f.dead {
		return ErrPower
	}
	f.ops++
	before := bytes.Clone(f.mem[off : off+n])
	after := f.mem[off : off+n]
	change(after)
	if f.cutHere() {
		f.dead = true
		f.cut.tear(f.ops, before, after)
	}
	if err := f.write(off, n); err != nil {
		return err
	}
	if f.dead {
		return ErrPower
	}
	return nil
}

func (f *Flash) inside(off int64, n, unit int) error {
	if off < 0 || off > int64(len(f.mem)-n) || off%int64(unit) != 0 || n%unit != 0 {
		return fmt.Errorf("%d bytes at %#x of %d, in units of %d", n, off, len(f.mem), unit)
	}
	return nil
}

// Blank reports whether p is as erased.
func Blank(p []byte) bool {
	for _, b := range p {
		if b != Erased {
			return false
		}
	}
	return true
}
