package virtualmcu

import (
	"github.com/moult-ota/moult/mcuboot"
)

// An app is an image that runs, and what it has in RAM.
type app struct {
	image  *mcuboot.Image
	habits Habits
	ready  bool // it answers
	upload upload
}

// run starts an image.
func (d *Device) run(im *mcuboot.Image) {
	a := &app{image: im, habits: habits(im.Payload)}
	d.app = a
	version := im.Header.Version
	switch {
	case a.habits.Type != "" && a.habits.Type != d.opts.Type:
		d.crash("%v is for %s, this is %s: it hangs", version, a.habits.Type, d.opts.Type)
	case a.habits.Crash:
		d.crash("%v crashes", version)
	default:
		d.later(d.opts.Boot, d.ready)
	}
}

func (d *Device) crash(format string, args ...any) {
	d.opts.Log(format, args...)
	if d.opts.Watchdog > 0 {
		d.later(d.opts.Watchdog, d.bite)
	}
}

func (d *Device) ready() {
	a := d.app
	a.ready = true
	d.opts.Log("%v runs", a.image.Header.Version)
	d.usb.plug(false)
	d.tell()
	if a.habits.Confirm == ConfirmSelf {
		d.later(a.habits.After, func() {
			if err := d.confirm(); err != nil && !d.settle() {
				d.opts.Log("%v", err)
			}
		})
	}
}

// confirm is what an application does, asked or by itself.
func (d *Device) confirm() error {
	before, err := d.loader.Next()
	if err != nil {
		return err
	}
	if err := d.loader.Confirm(); err != nil {
		return err
	}
	if before == mcuboot.SwapRevert {
		d.opts.Log("%v is confirmed", d.app.image.Header.Version)
	}
	return nil
}
