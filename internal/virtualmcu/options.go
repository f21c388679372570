// Package virtualmcu is a microcontroller without the chip: a flash, MCUboot's
// decisions, an application as its image says, and the doors by which a
// gateway reaches one: SMP on a serial console, SMP over UDP, and USB DFU as
// Zephyr's two USB stacks have it. Its power fails when it is told to.
package virtualmcu

import (
	"fmt"
	"time"

	"github.com/moult-ota/moult/internal/virtualmcu/flash"
	"github.com/moult-ota/moult/internal/virtualmcu/loader"
	"github.com/moult-ota/moult/mcuboot"
)

// K64F is the flash of an FRDM-K64F, as far as it is used: slots of 384 KiB.
var K64F = flash.Geometry{Sector: 4096, Unit: 8, Sectors: 3 + 2*96}

// Options say what is on the board. Times of zero are no time at all, so that
// tests wait for nothing; Real has those of a board.
type Options struct {
	Type  string              // board; "" means frdm_k64f. SMP and USB tell it
	Name  string              // serial number; "" means 0001
	Flash *flash.Flash        // nil: a K64F's, in memory
	Keys  []mcuboot.PublicKey // built into the boot loader
	Image []byte              // programmed into slot 0 when that is blank; it needs no trailer

	Guard mcuboot.Guard // older images that the boot loader refuses; none by default
	Loses bool          // see loader.Loader

	ClassID []byte // of the board, 16 bytes: the boot loader refuses images without it; nil: it does not look

	Times
	Watchdog time.Duration // resets an application that crashed; 0: nothing does
	Back     time.Duration // after a power cut by CutAt the power is back; 0: at Power(true)

	// SMP
	BufferSize int  // of one message; 0 means 384
	Buffers    int  // how many wait at most; 0 means 4
	V1         bool // an old server: it answers in the first version, whatever it is asked in
	Frugal     bool // false flags and "match" are left out

	// USB
	Stack       Stack
	Transfer    int  // bytes of a DFU block; 0 means 128
	NoReboot    bool // DFU ends in dfuIDLE, and nothing restarts the board
	NoRequest   bool // StackNext: the application forgets to ask for the upgrade
	HostDetach  bool // StackLegacy: the host resets the bus after DETACH; the device does not leave by itself
	ShowVersion Tell // how USB shows the version

	Faults Faults // of frames on SMP's doors; none by default

	// Log hears what happens; nil: nobody does. It must not call the Device.
	Log func(format string, args ...any)
}

// Tell is a place of the version in USB's descriptors.
type Tell int

// The places. The interface's string is next to the DFU runtime interface.
const (
	TellString Tell = iota // interface string, as 1.2.3+4
	TellDevice             // bcdDevice alone, major and minor
)

// Times are what flash and reset take.
type Times struct {
	Erase  time.Duration // of a whole slot
	Boot   time.Duration // from reset until the application answers
	Reset  time.Duration // from SMP's answer, or the end of DFU, to the reset
	Detach time.Duration // from DETACH until the device leaves the bus, and until it is back
}

// Real are the times of a board.
var Real = Times{Erase: 3 * time.Second, Boot: 1500 * time.Millisecond, Reset: 250 * time.Millisecond, Detach: 100 * time.Millisecond}

func (o *Options) fill() error {
	if o.Flash == nil {
		f, err := flash.New(K64F)
		if err != nil {
			return err
		}
		o.Flash = f
	}
	set(&o.Type, "frdm_k64f")
	set(&o.Name, "0001")
	set(&o.BufferSize, 384)
	set(&o.Buffers, 4)
	set(&o.Transfer, 128)
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	if len(o.Keys) == 0 {
		return fmt.Errorf("new device: %w", mcuboot.ErrNoKey)
	}
	return nil
}

func set[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

// factory programs the first image.
func factory(l *loader.Loader, image []byte) error {
	first := make([]byte, l.Unit)
	if _, err := l.Flash.ReadAt(first, 0); err != nil || len(image) == 0 || !flash.Blank(first) {
		return err
	}
	if len(image) > l.MaxImage() {
		return fmt.Errorf("program image: %d bytes, at most %d", len(image), l.MaxImage())
	}
	if _, _, err := mcuboot.Parse(image); err != nil {
		return fmt.Errorf("program image: %w", err)
	}
	w := writer{slots: l.Slots}
	if err := w.write(image); err != nil {
		return err
	}
	return w.flush()
}
