package loader

import (
	"fmt"
	"slices"

	"github.com/moult-ota/moult/mcuboot"
)

// chunk is what is copied at once, in bytes.
const chunk = 512

// exchange swaps the slots' images, from where t says.
func (l *Loader) exchange(t status) error {
	for t.done < t.steps() {
		if err := l.step(t); err != nil {
			return fmt.Errorf("swap: %w", err)
		}
		if err := l.record(&t); err != nil {
			return fmt.Errorf("swap: %w", err)
		}
	}
	if err := l.end(t); err != nil {
		return fmt.Errorf("end swap: %w", err)
	}
	return nil
}

// step does one step, from its start. The last sector is swapped first, so
// that a header comes last.
func (s Slots) step(t status) error {
	i := t.sectors - 1 - t.done/stepsPerSector
	pri, sec := s.sector(0, i), s.sector(1, i)
	switch t.done % stepsPerSector {
	case 0:
		return s.copy(sec, s.scratch())
	case 1:
		return s.copy(pri, sec)
	}
	return s.copy(s.scratch(), pri)
}

func (s Slots) copy(from, to int) error {
	if err := s.Flash.Erase(to); err != nil {
		return err
	}
	p := make([]byte, min(chunk, s.Sector))
	for off := 0; off < s.Sector; off += len(p) {
		if _, err := s.Flash.ReadAt(p, int64(from*s.Sector+off)); err != nil {
			return err
		}
		if err := s.Flash.Program(p, int64(to*s.Sector+off)); err != nil {
			return err
		}
	}
	return nil
}

// end writes both trailers, from their start: until it recorded that it is
// done, it is done again after a cut.
func (l *Loader) end(t status) error {
	last := l.perSlot - 1
	err := each(
		func() error { return l.Flash.Erase(l.sector(1, last)) },
		func() error { return l.Flash.Erase(l.sector(0, last)) },
		func() error { return l.put(0, l.swapInfo(), byte(t.swap)) },
		func() error { return l.put(0, magicSize, l.trailer().Magic()...) },
		func() error {
			if t.swap == mcuboot.SwapTest {
				return nil // the application confirms, or the next boot reverts
			}
			return l.put(0, l.imageOK(), 1)
		},
	)
	if err != nil {
		return err
	}
	done := []func() error{func() error { return l.put(0, l.copyDone(), 1) }, func() error { return l.record(&t) }}
	if l.Loses {
		slices.Reverse(done)
	}
	return each(done...)
}

// late writes the copy done that a cut left out.
func (l *Loader) late() error {
	t, err := l.Trailer(0)
	if err != nil || t.Magic != mcuboot.Set || t.CopyDone != mcuboot.Unset {
		return err
	}
	return l.put(0, l.copyDone(), 1)
}
