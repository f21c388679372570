package boottest

import (
	"fmt"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/slot"
)

// A goal is one scenario: what the application of a device is after. After
// each reset it looks where it stands and goes on, as a real one does.
type goal struct {
	name  string
	image *image // to be installed; nil when there is none
	trial ending // what the application does when the image runs
	rot   bool   // the image spoils in its slot before it first starts
	fill  int    // saves that change nothing but the deployment
	spoil bool   // the current image spoils; the other slot must take over
}

// An ending is how a trial ends.
type ending uint8

const (
	confirms ending = iota
	raises          // confirms and raises the floor
	crashes         // starts until its tries are used up
	rollsBack
)

// mostSessions bounds the resets that a goal may take once the power stays on.
const mostSessions = 12

// session is one life of the device from power-on until it resets itself. It
// reports whether the goal is reached.
func (d *device) session(g *goal) (done bool) {
	env := d.boot()
	v, err := env.Load()
	if err != nil {
		return false
	}
	switch {
	case g.fill > 0:
		return d.fill(env, v, g)
	case g.spoil:
		return d.running != slot.None
	}
	return d.update(env, v, g)
}

// fill saves again and again, to wear the sectors through.
func (d *device) fill(env boot.Env, v boot.Vars, g *goal) bool {
	for range g.fill {
		v.Deployment++
		if env.Save(v) != nil {
			return false
		}
	}
	return true
}

// update is the application's part in an update.
func (d *device) update(env boot.Env, v boot.Vars, g *goal) (done bool) {
	id := boot.ImageOf(g.image.desc)
	for _, s := range []slot.Slot{slot.A, slot.B} {
		x := v.Slot(s)
		if x.Image != id || x.State == boot.Empty {
			continue
		}
		if x.State == boot.Valid && v.Trial == s && d.running == s {
			d.onTrial(env, v, g)
			return false // look again after a reset
		}
		if x.Reason == boot.ReasonImage && !g.rot {
			d.violated(Stored, fmt.Sprintf("image %d in slot %v was found damaged", g.image.number, s))
		}
		return x.State != boot.Valid
	}
	d.install(env, v, g)
	return false
}

// onTrial is the application's first act in a new image.
func (d *device) onTrial(env boot.Env, v boot.Vars, g *goal) {
	var err error
	switch g.trial {
	case crashes:
		return
	case confirms:
		v, err = boot.Confirm(v, d.running, 0)
	case raises:
		v, err = boot.Confirm(v, d.running, g.image.desc.Security)
	case rollsBack:
		v, err = boot.RollBack(v, d.running, boot.ReasonSelfTest)
	}
	if err != nil {
		d.violated(Works, err.Error())
		return
	}
	_ = env.Save(v) // the watch reports
}

// install writes the image and sets the upgrade flag.
func (d *device) install(env boot.Env, v boot.Vars, g *goal) {
	s := slot.A
	if v.Current.Valid() {
		s = v.Current.Other()
	}
	v, err := boot.Release(v, s, d.running)
	if err == nil {
		err = env.Save(v)
	}
	if err == nil {
		err = d.write(s, g.image)
	}
	if err == nil {
		v.Deployment = uint32(g.image.number)
		v, err = boot.Request(v, s, boot.ImageOf(g.image.desc), tries)
	}
	if err == nil {
		err = env.Save(v)
	}
	if err != nil {
		d.violated(Works, fmt.Sprintf("install: %v", err))
		return
	}
	if g.rot {
		d.slots[s-1].Spoil(100)
	}
}

func (d *device) write(s slot.Slot, im *image) error {
	w, err := slot.NewWriter(d.slots[s-1], im.desc.Length)
	if err == nil {
		_, err = w.Write(im.bytes)
	}
	if err == nil {
		err = w.Finish(im.desc)
	}
	return err
}
