package loader

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/moult-ota/moult/internal/virtualmcu/flash"
	"github.com/moult-ota/moult/mcuboot"
)

// trailer is how fields are padded on this flash.
func (l Layout) trailer() mcuboot.Layout {
	return mcuboot.Layout{Align: max(mcuboot.DefaultAlign, l.Unit), Erased: flash.Erased}
}

// Distances of a trailer's fields from the end of the slot, in bytes; see
// mcuboot's FORMAT.md.
const magicSize = 16

func (l Layout) imageOK() int {
	a := l.trailer().Align
	return (magicSize + 2*a - 1) / a * a
}
func (l Layout) copyDone() int { return l.imageOK() + l.trailer().Align }
func (l Layout) swapInfo() int { return l.copyDone() + l.trailer().Align }

// A Slots reads and writes the trailers of a flash's two slots.
type Slots struct {
	Layout
	Flash *flash.Flash
}

// Trailer reads the trailer of a slot.
func (s Slots) Trailer(slot int) (mcuboot.Trailer, error) {
	p := make([]byte, s.trailer().Size())
	if _, err := s.Flash.ReadAt(p, s.Offset(slot)+int64(s.SlotSize()-len(p))); err != nil {
		return mcuboot.Trailer{}, fmt.Errorf("read trailer of slot %d: %w", slot, err)
	}
	return s.trailer().ParseTrailer(p)
}

// Next is what the loader does at the next boot, by the trailers alone.
func (s Slots) Next() (mcuboot.Swap, error) {
	pri, err := s.Trailer(0)
	if err != nil {
		return 0, err
	}
	sec, err := s.Trailer(1)
	return mcuboot.NextSwap(pri, sec, false), err
}

// Image parses what is in a slot. It looks at no signature.
func (s Slots) Image(slot int) (*mcuboot.Image, error) {
	p := make([]byte, s.MaxImage())
	if _, err := s.Flash.ReadAt(p, s.Offset(slot)); err != nil {
		return nil, fmt.Errorf("read slot %d: %w", slot, err)
	}
	im, _, err := mcuboot.Parse(p)
	if err != nil {
		return nil, fmt.Errorf("read slot %d: %w", slot, err)
	}
	return im, nil
}

// Erase erases a slot, its trailer last: until then it says what it said.
func (s Slots) Erase(slot int) error {
	for i := range s.perSlot {
		if err := s.Flash.Erase(s.sector(slot, i)); err != nil {
			return fmt.Errorf("erase slot %d: %w", slot, err)
		}
	}
	return nil
}

// ErrTrailer is a trailer whose writing was torn. What an application can do
// then is send the image again.
var ErrTrailer = errors.New("trailer is damaged")

// SetPending makes the loader start the secondary slot's image, once or for
// good: boot_set_pending of MCUboot, in its order of writes.
func (s Slots) SetPending(permanent bool) error {
	t, err := s.Trailer(1)
	if err != nil {
		return err
	}
	switch t.Magic {
	case mcuboot.Set:
		return nil // it is scheduled, as it was
	case mcuboot.Bad:
		if err := s.Erase(1); err != nil {
			return err
		}
		return fmt.Errorf("set pending: %w: slot 1 was erased, send the image again", ErrTrailer)
	}
	swap := mcuboot.SwapTest
	writes := []func() error{func() error { return s.put(1, magicSize, s.trailer().Magic()...) }}
	if permanent {
		swap = mcuboot.SwapPerm
		writes = append(writes, func() error { return s.put(1, s.imageOK(), 1) })
	}
	return each(append(writes, func() error { return s.put(1, s.swapInfo(), byte(swap)) })...)
}

// Confirm keeps the running image: boot_set_confirmed of MCUboot.
func (s Slots) Confirm() error {
	t, err := s.Trailer(0)
	switch {
	case err != nil:
		return err
	case t.Magic == mcuboot.Bad:
		return fmt.Errorf("confirm: %w", ErrTrailer)
	case t.Magic == mcuboot.Unset || t.ImageOK != mcuboot.Unset:
		return nil // nothing to go back to, or done
	}
	return s.put(0, s.imageOK(), 1)
}

// put writes a field of a trailer, padded to whole units.
func (s Slots) put(slot, distance int, value ...byte) error {
	end := s.SlotSize() - distance
	start := end / s.Unit * s.Unit
	p := append(bytes.Repeat([]byte{flash.Erased}, end-start), value...)
	p = append(p, bytes.Repeat([]byte{flash.Erased}, -len(p)&(s.Unit-1))...)
	if err := s.Flash.Program(p, s.Offset(slot)+int64(start)); err != nil {
		return fmt.Errorf("write trailer of slot %d: %w", slot, err)
	}
	return nil
}

// each calls the steps in turn, until one fails.
func each(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
