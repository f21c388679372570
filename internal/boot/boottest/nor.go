package boottest

import (
	"errors"
	"fmt"
	"slices"
)

// ErrECC is what reading unstable bits of a NOR with checksums gives, mostly.
var ErrECC = errors.New("uncorrectable flash error")

// A NOR is simulated flash of two sectors: erased to ones a sector at a time,
// programmed to zeros a unit at a time. It implements what register.Flash
// asks. Each unit programmed and each sector erased is one operation.
type NOR struct {
	// ECC says that the flash keeps a checksum of each unit: reading unstable
	// bits is an error half the time, and programming a unit twice spoils it.
	ECC bool

	sector, unit int
	bits         []byte
	loose        []byte // mask of unstable bits
	shaky        bool   // some bit is unstable
	power        *Power
}

// NewNOR returns blank flash. It has no power until it is cloned onto one.
func NewNOR(sectorSize, programUnit int) *NOR {
	n := &NOR{sector: sectorSize, unit: programUnit, bits: make([]byte, 2*sectorSize), loose: make([]byte, 2*sectorSize)}
	for i := range n.bits {
		n.bits[i] = 0xff
	}
	return n
}

// Clone returns the same flash with the same contents, on another power.
func (n *NOR) Clone(p *Power) Storage {
	c := *n
	c.bits, c.loose, c.power = slices.Clone(n.bits), slices.Clone(n.loose), p
	return &c
}

// SectorSize and ProgramUnit are in bytes.
func (n *NOR) SectorSize() int  { return n.sector }
func (n *NOR) ProgramUnit() int { return n.unit }

// ReadAt reads; unstable bits read as chance has it, each time anew.
func (n *NOR) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || int(off)+len(p) > len(n.bits) {
		return 0, fmt.Errorf("read flash at %d: beyond its end", off)
	}
	got := copy(p, n.bits[off:])
	if !n.shaky {
		return got, nil
	}
	loose := n.loose[off:]
	met := false
	for i := range p {
		if m := loose[i]; m != 0 {
			p[i] = p[i]&^m | byte(n.power.Rand.Uint32())&m
			met = true
		}
	}
	if met && n.ECC && n.power.Rand.Uint32()&1 == 0 {
		return 0, ErrECC
	}
	return got, nil
}

// Program clears the bits that are zero in p. p is whole units.
func (n *NOR) Program(p []byte, off int64) error {
	if int(off)%n.unit != 0 || len(p)%n.unit != 0 || int(off)+len(p) > len(n.bits) {
		return fmt.Errorf("program flash at %d, %d bytes: not whole units of %d", off, len(p), n.unit)
	}
	for i := 0; i < len(p); i += n.unit {
		n.program(p[i:i+n.unit], int(off)+i)
	}
	return nil
}

func (n *NOR) program(p []byte, off int) {
	spoil := n.ECC && !n.fresh(off)
	change := func(i int) byte { return (n.bits[off+i] | n.loose[off+i]) &^ p[i] }
	if n.power.cuts() {
		n.damage(off, n.unit, 0x00, change)
		n.power.end()
	}
	for i := range p {
		n.settle(off+i, change(i), 0, 0x00)
		if spoil {
			n.loose[off+i], n.shaky = 0xff, true
		}
	}
}

// fresh reports whether a unit was erased and not programmed since.
func (n *NOR) fresh(off int) bool {
	for i := off; i < off+n.unit; i++ {
		if n.bits[i] != 0xff || n.loose[i] != 0 {
			return false
		}
	}
	return true
}

// Erase sets all bits of a sector.
func (n *NOR) Erase(sector int) error {
	if sector < 0 || sector > 1 {
		return fmt.Errorf("erase flash: no sector %d", sector)
	}
	off := sector * n.sector
	change := func(i int) byte { return ^n.bits[off+i] | n.loose[off+i] }
	if n.power.cuts() {
		n.damage(off, n.sector, 0xff, change)
		n.power.end()
	}
	for i := range n.sector {
		n.settle(off+i, change(i), 0, 0xff)
	}
	n.shaky = slices.ContainsFunc(n.loose, func(m byte) bool { return m != 0 })
	return nil
}

// settle brings the bits done of one byte to value and makes loose unstable.
func (n *NOR) settle(i int, done, loose, value byte) {
	n.bits[i] = n.bits[i]&^done | value&done
	n.loose[i] = n.loose[i]&^done | loose
	if loose != 0 {
		n.shaky = true
	}
}

// damage leaves an interrupted operation on size bytes as the regime says;
// change tells which bits of a byte it was bringing to value.
func (n *NOR) damage(off, size int, value byte, change func(int) byte) {
	rng, tear, rare := n.power.Rand, n.power.Rand.IntN(size), 1<<(2+n.power.Rand.IntN(10))
	for i := range size {
		ch, few := change(i), byte(0)
		if rng.IntN(rare) == 0 {
			few = ch & (1 << rng.IntN(8))
		}
		switch n.power.how {
		case Done:
			n.settle(off+i, ch, 0, value)
		case Nearly:
			n.settle(off+i, ch&^few, few, value)
		case Barely:
			n.settle(off+i, 0, few, value)
		case Half:
			n.settle(off+i, ch&byte(rng.Uint32()), 0, value)
		case Unstable:
			n.settle(off+i, 0, ch, value)
		case Torn:
			if i < tear {
				n.settle(off+i, ch, 0, value)
			}
		}
	}
}
