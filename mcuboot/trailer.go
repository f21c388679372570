package mcuboot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// DefaultAlign is what a trailer's fields are padded to when flash can be
// written in smaller pieces, in bytes.
const DefaultAlign = 8

// A Flag is a byte of a trailer.
type Flag uint8

// The values of a flag. Bad is neither erased nor 1: a write that was torn.
const (
	Unset Flag = iota
	Set
	Bad
)

func (f Flag) String() string { return [...]string{"unset", "set", "bad"}[min(f, Bad)] }

// Magic says whether a trailer was begun.
type Magic = Flag

// A Trailer is what stands at the end of a slot.
//
//	… | swap info | copy done | image ok | magic, 16 bytes, to the slot's end
type Trailer struct {
	Magic    Magic
	ImageOK  Flag // confirmed
	CopyDone Flag // swapped to its end
	Swap     Swap // the swap that is under way or was, of Image
	Image    uint8
}

// A Swap is what MCUboot does with two slots.
type Swap uint8

// The swaps, by their numbers in a trailer.
const (
	SwapNone   Swap = 1
	SwapTest   Swap = 2 // start the secondary's image; the next boot reverts, unless it confirms itself
	SwapPerm   Swap = 3 // start it and keep it
	SwapRevert Swap = 4 // go back
)

func (s Swap) String() string {
	names := map[Swap]string{SwapNone: "none", SwapTest: "test", SwapPerm: "permanent", SwapRevert: "revert"}
	if n, ok := names[s]; ok {
		return n
	}
	return fmt.Sprintf("swap %d", uint8(s))
}

const magicSize = 16

var (
	magic8    = []byte{0x77, 0xc2, 0x95, 0xf3, 0x60, 0xd2, 0xef, 0x7f, 0x35, 0x52, 0x50, 0x0f, 0x2c, 0xb6, 0x79, 0x80}
	magicTail = []byte{0x2d, 0xe1, 0x5d, 0x29, 0x41, 0x0b, 0x8d, 0x77, 0x67, 0x9c, 0x11, 0x0f, 0x1f, 0x8a}
)

// A Layout is where a trailer's fields stand, from the end of the slot, and
// what erased flash reads as.
type Layout struct {
	Align  int  // 8, 16 or 32
	Erased byte // 0xff on most flash
}

var errAlign = errors.New("alignment of a trailer is 8, 16 or 32")

func (l Layout) check() error {
	if l.Align != 8 && l.Align != 16 && l.Align != 32 {
		return errAlign
	}
	return nil
}

// The distances of the fields from the slot's end.
func (l Layout) imageOK() int  { return (magicSize + l.Align + l.Align - 1) / l.Align * l.Align }
func (l Layout) copyDone() int { return l.imageOK() + l.Align }
func (l Layout) swapInfo() int { return l.copyDone() + l.Align }

// Size is how many bytes at the end of a slot ParseTrailer wants.
func (l Layout) Size() int { return l.swapInfo() }

// Magic is the 16 bytes that end a slot.
func (l Layout) Magic() []byte {
	if l.Align == DefaultAlign {
		return magic8
	}
	return append(binary.LittleEndian.AppendUint16(nil, uint16(l.Align)), magicTail...)
}

// ParseTrailer reads the last bytes of a slot.
func (l Layout) ParseTrailer(p []byte) (Trailer, error) {
	if err := l.check(); err != nil {
		return Trailer{}, err
	}
	if len(p) < l.Size() {
		return Trailer{}, fmt.Errorf("parse trailer: %d bytes, want %d", len(p), l.Size())
	}
	at := func(distance int) byte { return p[len(p)-distance] }
	t := Trailer{ImageOK: l.flag(at(l.imageOK())), CopyDone: l.flag(at(l.copyDone())), Magic: Bad}
	switch m := p[len(p)-magicSize:]; {
	case bytes.Equal(m, l.Magic()):
		t.Magic = Set
	case bytes.Count(m, []byte{l.Erased}) == magicSize:
		t.Magic = Unset
	}
	if b := at(l.swapInfo()); b != l.Erased {
		t.Swap, t.Image = Swap(b&0x0f), b>>4
	}
	return t, nil
}

func (l Layout) flag(b byte) Flag {
	switch b {
	case l.Erased:
		return Unset
	case 1:
		return Set
	}
	return Bad
}

// Pending returns the end of a secondary slot whose image is to be started,
// once or for good: what imgtool's --pad and --confirm append.
func (l Layout) Pending(permanent bool) ([]byte, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	p := bytes.Repeat([]byte{l.Erased}, l.Size())
	copy(p[len(p)-magicSize:], l.Magic())
	if permanent {
		p[len(p)-l.imageOK()] = 1
	}
	return p, nil
}

// NextSwap is what MCUboot does at the next boot, in its modes that swap by
// scratch or by moving, and, with offset, by offset. An interrupted swap it
// ends first.
//
//	primary magic  image ok  copy done  secondary magic  image ok  copy done
//	any            any       any        set              unset     set        revert (offset only)
//	any            any       any        set              unset     any        test
//	any            any       any        set              set       any        permanent
//	set            unset     set        any              any       any        revert
//	                                                     otherwise            none
func NextSwap(primary, secondary Trailer, offset bool) Swap {
	switch {
	case secondary.Magic == Set && secondary.ImageOK == Unset && secondary.CopyDone == Set && offset:
		return SwapRevert
	case secondary.Magic == Set && secondary.ImageOK == Unset:
		return SwapTest
	case secondary.Magic == Set && secondary.ImageOK == Set:
		return SwapPerm
	case primary.Magic == Set && primary.ImageOK == Unset && primary.CopyDone == Set:
		return SwapRevert
	}
	return SwapNone
}

// A Guard says which images a boot loader takes beside those with a good
// signature.
type Guard struct {
	Newer        bool    // refuse a version that is older than the running one; equal is taken
	BuildNumbers bool    // with Newer: compare build numbers, too
	Counter      bool    // refuse a lower security counter than the running image's, or none
	Floor        *uint32 // stored counter; nil: none is stored
}

// ErrDowngrade is an image that is older than what may run.
var ErrDowngrade = errors.New("image is older than allowed")

// Check returns nil when next may replace running, which may be nil.
func (g Guard) Check(next, running *Image) error {
	n, has := next.SecurityCounter()
	if g.Floor != nil && (!has || n < *g.Floor) {
		return fmt.Errorf("%w: security counter %s, stored is %d", ErrDowngrade, counterText(n, has), *g.Floor)
	}
	if running == nil {
		return nil
	}
	if old, ok := running.SecurityCounter(); g.Counter && ok && (!has || n < old) {
		return fmt.Errorf("%w: security counter %s, the running image has %d", ErrDowngrade, counterText(n, has), old)
	}
	v, w := next.Header.Version, running.Header.Version
	order := v.Compare(w)
	if order == 0 && g.BuildNumbers && v.Build < w.Build {
		order = -1
	}
	if g.Newer && order < 0 {
		return fmt.Errorf("%w: version %v, running is %v", ErrDowngrade, v, w)
	}
	return nil
}

func counterText(n uint32, has bool) string {
	if !has {
		return "none"
	}
	return fmt.Sprint(n)
}
