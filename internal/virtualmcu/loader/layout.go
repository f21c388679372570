package loader

import (
	"fmt"

	"github.com/moult-ota/moult/internal/virtualmcu/flash"
)

// MaxSectors is how many sectors MCUboot's slots have at most, by default.
const MaxSectors = 128

// extra are the sectors beside the slots: one of scratch, two of status.
const extra = 3

// A Layout cuts a flash into parts. The last sector of a slot holds its
// trailer, the others its image.
//
//	primary slot | secondary slot | scratch | status A | status B
type Layout struct {
	flash.Geometry
	perSlot int // sectors
}

// Split returns the layout of a flash with two slots as large as they may be.
func Split(g flash.Geometry) (Layout, error) {
	l := Layout{g, (g.Sectors - extra) / 2}
	status := headerSize(g.Unit) + (stepsPerSector*(l.perSlot-1)+1)*g.Unit
	switch {
	case g.Unit > 32 || g.Unit&(g.Unit-1) != 0:
		return l, fmt.Errorf("split flash: programmed %d bytes at once: MCUboot has trailers for 1 to 32", g.Unit)
	case l.perSlot < 2 || l.perSlot > MaxSectors:
		return l, fmt.Errorf("split flash: slots of %d sectors, want 2 to %d", l.perSlot, MaxSectors)
	case status > g.Sector || l.trailer().Size() > g.Sector:
		return l, fmt.Errorf("split flash: sectors of %d bytes, the status of a swap takes %d", g.Sector, status)
	}
	return l, nil
}

// SlotSize is the size of a slot, in bytes.
func (l Layout) SlotSize() int { return l.perSlot * l.Sector }

// MaxImage is how large an image may be, in bytes.
func (l Layout) MaxImage() int { return (l.perSlot - 1) * l.Sector }

// Offset is where a slot begins: 0 is the primary one, 1 the secondary.
func (l Layout) Offset(slot int) int64 { return int64(slot * l.SlotSize()) }

// sector is the number of a slot's i-th sector in the flash.
func (l Layout) sector(slot, i int) int { return slot*l.perSlot + i }

func (l Layout) scratch() int     { return 2 * l.perSlot }
func (l Layout) status(n int) int { return 2*l.perSlot + 1 + n }
