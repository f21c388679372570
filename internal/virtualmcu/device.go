package virtualmcu

import (
	"fmt"
	"sync"
	"time"

	"github.com/moult-ota/moult/internal/virtualmcu/flash"
	"github.com/moult-ota/moult/internal/virtualmcu/loader"
	"github.com/moult-ota/moult/mcuboot"
)

// A Device is a board. Its methods may be called from any goroutine.
type Device struct {
	opts   Options
	loader *loader.Loader
	usb    *USB
	fate   *fate

	mu      sync.Mutex
	on      bool
	epoch   int  // counts resets and power cuts: what was begun before one never ends
	app     *app // nil: nothing runs
	stuck   bool
	stickAt int // requests until it is; 0: never
	cuts    int
	changed chan struct{}
}

// New returns a board that is off.
func New(o Options) (*Device, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	l, err := loader.New(o.Flash, o.Keys...)
	if err != nil {
		return nil, fmt.Errorf("new device: %w", err)
	}
	l.Guard, l.Loses, l.ClassID = o.Guard, o.Loses, o.ClassID
	if err := factory(l, o.Image); err != nil {
		return nil, fmt.Errorf("new device: %w", err)
	}
	d := &Device{opts: o, loader: l, fate: newFate(o.Faults), changed: make(chan struct{})}
	d.usb = &USB{d: d}
	o.Flash.Off()
	return d, nil
}

// USB is the board's USB socket.
func (d *Device) USB() *USB { return d.usb }

// Power switches the power on or off.
func (d *Device) Power(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case on == d.on:
	case on:
		d.on = true
		d.opts.Flash.On()
		d.start()
	default:
		d.down()
		d.opts.Log("power off")
	}
}

// Reset is the button: it restarts a board that is on.
func (d *Device) Reset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.on {
		d.start()
	}
}

// Stick makes the application hang: nothing answers until the next reset,
// which a watchdog may do.
func (d *Device) Stick() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hang()
}

// StickAt makes it hang over a request from now on, SMP's or USB's: 1 is the
// next one. Zero disarms.
func (d *Device) StickAt(request int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stickAt = request
}

// CutAt arms a power cut at a flash operation from now.
func (d *Device) CutAt(c flash.Cut) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.opts.Flash.CutAt(c)
}

// Operations is how many flash operations there were.
func (d *Device) Operations() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.opts.Flash.Operations()
}

// Cuts is how many power cuts of CutAt there were.
func (d *Device) Cuts() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cuts
}

// On reports whether the power is on.
func (d *Device) On() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.on
}

// Running returns the version of the image that runs, and whether its
// application answers.
func (d *Device) Running() (version mcuboot.Version, answers bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.app == nil {
		return version, false
	}
	return d.app.image.Header.Version, d.answers()
}

// A Slot is what is in a slot, as a programmer's probe reads it.
type Slot struct {
	Image   *mcuboot.Image // nil: none that can be parsed
	Trailer mcuboot.Trailer
}

// Slots reads the flash, also of a board that is off, and what the boot loader
// would do next.
func (d *Device) Slots() (slots [2]Slot, next mcuboot.Swap) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := *d.loader
	l.Flash = l.Flash.Clone()
	for i := range slots {
		slots[i].Image, _ = l.Image(i)
		slots[i].Trailer, _ = l.Trailer(i) // a clone has power
	}
	next, _ = l.Next()
	return slots, next
}

// Changed returns a channel that is closed when the board next starts, stops,
// gets stuck, or comes to or leaves the USB bus.
func (d *Device) Changed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changed
}

// From here on, d.mu is held.

func (d *Device) tell() {
	close(d.changed)
	d.changed = make(chan struct{})
}

func (d *Device) answers() bool { return d.app != nil && d.app.ready && !d.stuck }

// requested counts a request, and reports whether the board is stuck.
func (d *Device) requested() (stuck bool) {
	if d.stickAt > 0 && d.answers() {
		if d.stickAt--; d.stickAt == 0 {
			d.hang()
		}
	}
	return d.stuck
}

func (d *Device) hang() {
	d.stuck = true
	d.opts.Log("stuck")
	d.tell()
	if d.opts.Watchdog > 0 {
		d.later(d.opts.Watchdog, d.bite)
	}
}

func (d *Device) bite() {
	d.opts.Log("watchdog resets")
	d.start()
}

// start is what happens at a reset.
func (d *Device) start() {
	d.halt()
	im, err := d.loader.Boot()
	if d.settle() {
		return
	}
	if err != nil {
		d.opts.Log("%v", err)
		return
	}
	d.run(im)
}

// halt stops what runs.
func (d *Device) halt() {
	d.epoch++
	d.app, d.stuck = nil, false
	d.usb.unplug()
	d.tell()
}

func (d *Device) down() {
	d.on = false
	d.opts.Flash.Off()
	d.halt()
}

// settle takes the board down when its flash lost power, and reports whether
// it did.
func (d *Device) settle() bool {
	if !d.on || !d.opts.Flash.Dead() {
		return false
	}
	d.cuts++
	d.down()
	d.opts.Log("power cut at a flash operation")
	if d.opts.Back > 0 {
		time.AfterFunc(d.opts.Back, func() { d.Power(true) })
	}
	return true
}

// later calls f after a while, unless there was a reset. No time is now.
func (d *Device) later(after time.Duration, f func()) {
	if after <= 0 {
		f()
		return
	}
	epoch := d.epoch
	time.AfterFunc(after, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.epoch == epoch {
			f()
		}
	})
}
