package virtualmcu

import (
	"bytes"
	"fmt"

	"github.com/moult-ota/moult/internal/virtualmcu/flash"
	"github.com/moult-ota/moult/internal/virtualmcu/loader"
)

// programmed is what is programmed at once, in bytes, as in Zephyr.
const programmed = 512

// A writer fills a slot from its start. What is not a whole unit waits.
type writer struct {
	slots   loader.Slots
	slot    int
	erasing bool // each sector just before it is written, the trailer's at the end
	at      int  // bytes that are in flash
	rest    []byte
}

func (w *writer) write(p []byte) error {
	if w.at+len(w.rest)+len(p) > w.slots.SlotSize() {
		return fmt.Errorf("write slot %d: more than its %d bytes", w.slot, w.slots.SlotSize())
	}
	w.rest = append(w.rest, p...)
	whole := len(w.rest) / w.slots.Unit * w.slots.Unit
	for whole > 0 {
		n, err := w.piece(w.rest[:whole])
		if err != nil {
			return err
		}
		w.rest, whole = w.rest[n:], whole-n
	}
	return nil
}

// piece programs the first bytes of p, up to the end of a sector.
func (w *writer) piece(p []byte) (int, error) {
	left := w.slots.Sector - w.at%w.slots.Sector
	p = p[:min(len(p), programmed, left)]
	if w.erasing && left == w.slots.Sector {
		if err := w.slots.Flash.Erase(w.sector(w.at)); err != nil {
			return 0, err
		}
	}
	if err := w.slots.Flash.Program(p, w.slots.Offset(w.slot)+int64(w.at)); err != nil {
		return 0, err
	}
	w.at += len(p)
	return len(p), nil
}

func (w *writer) sector(at int) int {
	return (int(w.slots.Offset(w.slot)) + at) / w.slots.Sector
}

// flush pads what waits to a unit and programs it.
func (w *writer) flush() error {
	if n := -len(w.rest) & (w.slots.Unit - 1); n > 0 {
		if err := w.write(bytes.Repeat([]byte{flash.Erased}, n)); err != nil {
			return err
		}
	}
	if last := w.slots.SlotSize() - 1; w.erasing && w.sector(w.at-1) != w.sector(last) {
		return w.slots.Flash.Erase(w.sector(last))
	}
	return nil
}
