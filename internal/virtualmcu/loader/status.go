package loader

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"

	"github.com/moult-ota/moult/internal/virtualmcu/flash"
	"github.com/moult-ota/moult/mcuboot"
)

// A status is how far a swap is. Two sectors take turns, so that the one of
// the last swap is whole while the other is erased for the next.
//
//	0 4 "SWP1"   4 4 generation   8 1 swap   9 1 erased   10 2 sectors   12 4 CRC-32 of all before
//	then, each in a unit: one record for each step, one for the end
//
// Outside nobody reads it, so it is not MCUboot's, whose own lies in trailers.
type status struct {
	place      int // 0 or 1
	generation uint32
	swap       mcuboot.Swap
	sectors    int // that are exchanged, from the first
	done       int // steps
}

const (
	statusMagic    = "SWP1"
	statusHeader   = 16
	stepsPerSector = 3 // sec → scratch, pri → sec, scratch → pri
)

// headerSize is the room of a header, in whole units.
func headerSize(unit int) int { return (statusHeader + unit - 1) / unit * unit }

// steps is how many steps there are, without the end.
func (t status) steps() int { return stepsPerSector * t.sectors }

// ended reports whether there is nothing to resume.
func (t status) ended() bool { return t.done > t.steps() }

// latest returns the newest status; the zero status has ended.
func (s Slots) latest() (newest status, err error) {
	newest.done = 1
	for place := range 2 {
		p := make([]byte, s.Sector)
		if _, err := s.Flash.ReadAt(p, int64(s.status(place)*s.Sector)); err != nil {
			return status{}, err
		}
		if t, ok := parseStatus(p, s.Unit); ok && t.generation > newest.generation {
			newest, newest.place = t, place
		}
	}
	return newest, nil
}

func parseStatus(p []byte, unit int) (t status, ok bool) {
	if string(p[:4]) != statusMagic || binary.LittleEndian.Uint32(p[12:]) != crc32.ChecksumIEEE(p[:12]) {
		return t, false
	}
	t.generation, t.swap = binary.LittleEndian.Uint32(p[4:]), mcuboot.Swap(p[8])
	t.sectors = int(binary.LittleEndian.Uint16(p[10:]))
	records := p[headerSize(unit):]
	if (t.steps()+1)*unit > len(records) {
		return t, false
	}
	// A torn record counts: it was begun after its step ended.
	for !t.ended() && !flash.Blank(records[t.done*unit:(t.done+1)*unit]) {
		t.done++
	}
	return t, true
}

// begin stores the status of a new swap.
func (s Slots) begin(old status, swap mcuboot.Swap, sectors int) (status, error) {
	t := status{place: 1 - old.place, generation: old.generation + 1, swap: swap, sectors: sectors}
	p := append([]byte(statusMagic), binary.LittleEndian.AppendUint32(nil, t.generation)...)
	p = binary.LittleEndian.AppendUint16(append(p, byte(swap), flash.Erased), uint16(sectors))
	p = binary.LittleEndian.AppendUint32(p, crc32.ChecksumIEEE(p))
	p = append(p, bytes.Repeat([]byte{flash.Erased}, headerSize(s.Unit)-len(p))...)
	return t, each(
		func() error { return s.Flash.Erase(s.status(t.place)) },
		func() error { return s.Flash.Program(p, int64(s.status(t.place)*s.Sector)) },
	)
}

// record stores that one more step is done.
func (s Slots) record(t *status) error {
	off := s.status(t.place)*s.Sector + headerSize(s.Unit) + t.done*s.Unit
	t.done++
	return s.Flash.Program(make([]byte, s.Unit), int64(off))
}
