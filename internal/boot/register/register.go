// Package register keeps boot.Vars in two sectors of flash, or in a file, so
// that no power cut loses them or changes one's mind about them.
//
// New states are appended, each twice, and never written over; a full sector
// is left for the other one, which is erased first. FORMAT.md has the layout
// and the rules; boottest is the proof. A register is not signed: whoever can
// write it can choose among images that verify, and lower the floor.
package register

import (
	"errors"
	"fmt"

	"github.com/moult-ota/moult/internal/boot"
)

// Limits.
const (
	attempts = 8 // to bring the flash in order, and to erase a sector
	looks    = 3 // at fresh cells, to see that they hold
	minCells = 4 // of a sector
)

// ErrWorn means that the flash does not keep what is written to it.
var ErrWorn = errors.New("flash does not hold what was written")

// ErrUnreadable means that no cell of the register could be read.
var ErrUnreadable = errors.New("flash cannot be read")

// A Register is a boot.Env on a Flash. It keeps nothing in memory between
// calls, so the loader's and the application's may take turns; two at the same
// instant may not.
type Register struct {
	flash Flash
	cell  int // bytes of a cell: CellSize rounded up to whole program units
	cells int // of a sector
	buf   []byte
}

var _ boot.Env = (*Register)(nil)

// Open returns the register on f. It reads and writes nothing yet.
func Open(f Flash) (*Register, error) {
	unit := f.ProgramUnit()
	if unit <= 0 || f.SectorSize() <= 0 || f.SectorSize()%unit != 0 {
		return nil, fmt.Errorf("open register: sector of %d bytes in units of %d", f.SectorSize(), unit)
	}
	cell := (CellSize + unit - 1) / unit * unit
	cells := f.SectorSize() / cell
	if cells < minCells || cells > 1<<16 {
		return nil, fmt.Errorf("open register: sector of %d cells, want %d to %d", cells, minCells, 1<<16)
	}
	return &Register{flash: f, cell: cell, cells: cells, buf: make([]byte, cell)}, nil
}

// Load returns the newest state. Where a power cut left doubt about which one
// that is, Load first writes down its choice, so that no later look can differ.
func (r *Register) Load() (boot.Vars, error) {
	_, s, err := r.settle()
	if err != nil {
		return boot.Vars{}, fmt.Errorf("load register: %w", err)
	}
	return s.last.Vars, nil
}

// Save appends v, unless it is the newest state already.
func (r *Register) Save(v boot.Vars) error {
	n, s, err := r.settle()
	if err == nil && (!s.valid || s.last.Vars != v) {
		err = r.append(n, s, v)
	}
	if err != nil {
		return fmt.Errorf("save register: %w", err)
	}
	return nil
}

// settle looks at the flash and repairs it until a later look must show the
// same; it returns the newest sector, or a blank one when there is no state.
// A register in order is only read.
func (r *Register) settle() (n int, s sector, err error) {
	for range attempts {
		both := [2]sector{r.look(0), r.look(1)}
		n = newest(both)
		s, other := both[n], both[1-n]
		switch {
		case s.failed+other.failed == 2*r.cells:
			return n, s, ErrUnreadable // not torn but gone; do not erase it
		case s.dirty():
			err = r.erase(n)
		case s.valid && !s.stable:
			err = r.append(n, s, s.last.Vars)
		case other.dirty():
			err = r.erase(1 - n)
		default:
			return n, s, nil
		}
		if err != nil {
			return n, s, err
		}
	}
	return n, s, ErrWorn
}

// newest picks the sector with the state. Generations are serial numbers and
// may wrap.
func newest(s [2]sector) int {
	if s[1].valid && (!s[0].valid || int32(s[1].last.Generation-s[0].last.Generation) > 0) {
		return 1
	}
	return 0
}

// append writes v twice behind the records of sector n, which shows s, or into
// the other sector when n is full. It returns nil when the pair holds.
func (r *Register) append(n int, s sector, v boot.Vars) error {
	held, err := r.write(n, s.end, Record{Vars: v, Generation: s.last.Generation})
	if held || err != nil {
		return err
	}
	if err := r.erase(1 - n); err != nil {
		return err
	}
	held, err = r.write(1-n, 0, Record{Vars: v, Generation: s.last.Generation + 1})
	if !held && err == nil {
		return ErrWorn
	}
	return err
}

// write programs rec into the first two cells of sector n, from cell at on,
// that hold it. No cell is tried twice.
func (r *Register) write(n, at int, rec Record) (held bool, err error) {
	for ; at+2 <= r.cells && !held && err == nil; at += 2 {
		rec.First = uint16(at)
		held, err = r.pair(n, at, rec)
	}
	return held, err
}

// pair programs rec into cells at and at+1 and reports whether both hold it.
func (r *Register) pair(n, at int, rec Record) (held bool, err error) {
	p := AppendRecord(make([]byte, 0, r.cell), rec)
	for len(p) < r.cell {
		p = append(p, 0xff)
	}
	for i := at; i < at+2; i++ {
		if err := r.flash.Program(p, r.offset(n, i)); err != nil {
			return false, err
		}
		if !r.holds(n, i, rec) {
			return false, nil
		}
	}
	return true, nil
}

// holds looks at a cell that was just written, more than once.
func (r *Register) holds(n, i int, rec Record) bool {
	for range looks {
		p, err := r.read(n, i)
		if err != nil {
			return false
		}
		if got, _, err := ParseRecord(p); err != nil || got != rec {
			return false
		}
	}
	return true
}

// erase erases sector n and sees that it is blank.
func (r *Register) erase(n int) error {
	for range attempts {
		if err := r.flash.Erase(n); err != nil {
			return err
		}
		if s := r.look(n); s.end == 0 {
			return nil
		}
	}
	return ErrWorn
}
