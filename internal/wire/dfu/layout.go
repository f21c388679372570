package dfu

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// MaxLayout bounds the text of a memory map, in bytes; strings of USB are
// shorter.
const MaxLayout = 512

// A Layout is the memory map in the name of an alternate setting of DfuSe:
//
//	@Internal Flash  /0x08000000/04*016Kg,01*064Kg,07*128Kg
type Layout struct {
	Name     string
	Segments []Segment
}

// A Segment is Count sectors of Size bytes each, from Address on.
type Segment struct {
	Address     uint32
	Count, Size uint32
	Access      byte // a to g: bit 0 can be read, 1 erased, 2 written
}

// End is the address after it.
func (s Segment) End() uint64 { return uint64(s.Address) + uint64(s.Count)*uint64(s.Size) }

func (s Segment) can(what byte) bool { return (s.Access-'a'+1)&what == what }

var sectors = regexp.MustCompile(`^(\d{1,3})\*(\d{1,3})([BKM ]?)([a-g])$`)

var units = map[string]uint64{"": 1, " ": 1, "B": 1, "K": 1 << 10, "M": 1 << 20}

// ParseLayout reads a memory map.
func ParseLayout(text string) (l Layout, err error) {
	parts := strings.Split(text, "/")
	if len(text) > MaxLayout || !strings.HasPrefix(text, "@") || len(parts)%2 != 1 || len(parts) < 3 {
		return l, fmt.Errorf("parse memory map %.80q: want @name/address/sectors", text)
	}
	l.Name = strings.TrimSpace(parts[0][1:])
	for i := 1; i < len(parts); i += 2 {
		if err := l.region(parts[i], parts[i+1]); err != nil {
			return Layout{}, fmt.Errorf("parse memory map %.80q: %w", text, err)
		}
	}
	return l, nil
}

// region adds the sectors from an address on.
func (l *Layout) region(address, list string) error {
	hex, ok := strings.CutPrefix(strings.TrimSpace(address), "0x")
	at, err := strconv.ParseUint(hex, 16, 32)
	if !ok || err != nil {
		return fmt.Errorf("address %q", address)
	}
	for _, text := range strings.Split(list, ",") {
		m := sectors.FindStringSubmatch(strings.TrimSpace(text))
		if m == nil {
			return fmt.Errorf("sectors %q", text)
		}
		count, _ := strconv.ParseUint(m[1], 10, 32)
		size, _ := strconv.ParseUint(m[2], 10, 32)
		s := Segment{uint32(at), uint32(count), uint32(size * units[m[3]]), m[4][0]}
		if s.Count == 0 || s.Size == 0 || s.End() > math.MaxUint32 {
			return fmt.Errorf("sectors %q", text)
		}
		l.Segments = append(l.Segments, s)
		at = s.End()
	}
	return nil
}

// ErrMap is memory that the device's map does not have, or not for this.
var ErrMap = errors.New("device has no such memory")

// Pages returns the sectors to erase before size bytes are written at an
// address; the address must begin one.
func (l Layout) Pages(address, size uint32) (pages []uint32, err error) {
	end := uint64(address) + uint64(size)
	for at := uint64(address); at < end; {
		s, ok := l.segment(at)
		if !ok || !s.can(2|4) {
			return nil, fmt.Errorf("%w: %s at %#x cannot be erased and written", ErrMap, l.Name, at)
		}
		if off := (at - uint64(s.Address)) % uint64(s.Size); off != 0 {
			return nil, fmt.Errorf("%w: %#x is not where a sector of %d bytes begins", ErrMap, at, s.Size)
		}
		pages = append(pages, uint32(at))
		at += uint64(s.Size)
	}
	return pages, nil
}

func (l Layout) segment(at uint64) (Segment, bool) {
	for _, s := range l.Segments {
		if uint64(s.Address) <= at && at < s.End() {
			return s, true
		}
	}
	return Segment{}, false
}
