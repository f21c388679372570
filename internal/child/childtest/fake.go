// Package childtest has a microcontroller in memory whose power can be cut at
// any operation, and the suite that every way to a child passes.
package childtest

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"

	"github.com/moult-ota/moult/internal/child"
	"github.com/moult-ota/moult/mcuboot"
)

// piece is what one operation of a transfer carries, in bytes.
const piece = 4 << 10

// A Fake is a child.Child with two slots and MCUboot's rule: swap for one
// boot, and back unless confirmed.
type Fake struct {
	Mute   bool // as a DFU device: it tells versions alone, and images confirm themselves
	Slow   int  // how many times State finds it away after a boot
	Habits map[mcuboot.Version]Habit

	Cut    int   // the operation during which its power is cut, from 1; 0 for never
	Vanish int   // the operation after which it never answers again; 0 for never
	Ops    int   // so far
	Sent   int64 // bytes that came to it
	Boots  int

	rng     *rand.Rand
	primary slot
	other   slot
	away    int
	gone    bool
}

// A Habit is how an image behaves; the zero one is as it should.
type Habit struct {
	Rejected bool // the boot loader finds its signature bad
	Hangs    bool // it does not come up, and the watchdog resets it
	Forgets  bool // it never confirms itself
	Sick     bool // it comes up, and fails whoever tests it
}

type slot struct {
	image     child.Image
	got       int // bytes of it that are there
	pending   bool
	confirmed bool
}

func (s slot) whole() bool { return s.got > 0 && s.got == len(s.image.Bytes) }

var _ child.Child = (*Fake)(nil)

// NewFake returns a child that runs an image for good.
func NewFake(running child.Image, seed uint64) *Fake {
	return &Fake{
		Slow: 2, Habits: map[mcuboot.Version]Habit{}, rng: rand.New(rand.NewPCG(seed, 7)),
		primary: slot{image: running, got: len(running.Bytes), confirmed: true},
	}
}

// Running is the image that it runs, and whether that stays.
func (f *Fake) Running() (image child.Image, confirmed bool) {
	return f.primary.image, f.primary.confirmed
}

// Sick reports whether what runs fails whoever tests it.
func (f *Fake) Sick() bool { return f.Habits[f.primary.image.Version].Sick }

// do is one operation. The one that is cut is carried out or not, by chance.
func (f *Fake) do(op func()) error {
	if f.gone {
		return child.ErrAway
	}
	f.Ops++
	cut := f.Ops == f.Cut
	if !cut || f.rng.IntN(2) == 0 {
		op()
	}
	f.gone = f.Vanish != 0 && f.Ops >= f.Vanish
	if cut {
		f.boot()
	}
	if cut || f.gone {
		return child.ErrAway
	}
	return nil
}

// PowerCut cuts its power between operations.
func (f *Fake) PowerCut() { f.boot() }

// boot is what MCUboot does, until something runs.
func (f *Fake) boot() {
	f.Boots++
	f.away = f.Slow
	next := f.other
	switch {
	case next.pending && f.Habits[next.image.Version].Rejected:
		f.other = slot{}
	case next.pending:
		f.primary, f.other = slot{image: next.image, got: next.got}, f.primary
	case !f.primary.confirmed && f.other.whole():
		f.primary, f.other = f.other, slot{image: f.primary.image, got: f.primary.got}
		f.primary.confirmed = true
	}
	if h := f.Habits[f.primary.image.Version]; h.Hangs {
		f.boot() // by the watchdog
	}
}

// State also lets time pass: it is when a mute child's image confirms itself.
func (f *Fake) State(context.Context) (s child.State, err error) {
	if f.away > 0 {
		f.away--
		return s, child.ErrAway
	}
	err = f.do(func() {
		s = child.State{Running: f.tell(f.primary), Other: f.tell(f.other)}
		if f.Mute {
			f.primary.confirmed = !f.Habits[f.primary.image.Version].Forgets || f.primary.confirmed
			s.Other = child.Slot{}
		}
	})
	if err != nil {
		return child.State{}, err
	}
	return s, nil
}

func (f *Fake) tell(s slot) child.Slot {
	switch {
	case !s.whole():
		return child.Slot{}
	case f.Mute:
		return child.Slot{Version: s.image.Version}
	}
	return child.Slot{Version: s.image.Version, Hash: bytes.Clone(s.image.Hash[:]), Confirmed: s.confirmed, Pending: s.pending}
}

// errInUse: the other slot has what comes back after the trial.
var errInUse = errors.New("the slot is in use")

// Send goes on where it was when it is the same image.
func (f *Fake) Send(ctx context.Context, image child.Image, told func(int64)) error {
	if f.away > 0 {
		return child.ErrAway
	}
	if !f.Mute && !f.primary.confirmed {
		return errInUse
	}
	if f.other.image.Hash != image.Hash {
		if err := f.do(func() { f.other = slot{image: image} }); err != nil {
			return err
		}
	}
	for f.other.got < len(image.Bytes) {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(piece, len(image.Bytes)-f.other.got)
		if err := f.do(func() { f.other.got += n; f.Sent += int64(n) }); err != nil {
			return err
		}
		if told != nil {
			told(int64(f.other.got))
		}
	}
	return nil
}

// Try refuses what is not there.
func (f *Fake) Try(_ context.Context, image child.Image) error {
	if f.away > 0 {
		return child.ErrAway
	}
	if f.other.image.Hash != image.Hash || !f.other.whole() {
		return child.ErrRefused
	}
	return f.do(func() { f.other.pending = true })
}

// Reset boots.
func (f *Fake) Reset(context.Context) error {
	if f.away > 0 {
		return child.ErrAway
	}
	return f.do(f.boot)
}

// Confirm is ErrSelf when it is mute.
func (f *Fake) Confirm(context.Context) error {
	switch {
	case f.away > 0:
		return child.ErrAway
	case f.Mute:
		return child.ErrSelf
	}
	return f.do(func() { f.primary.confirmed = true })
}

// Close does nothing.
func (f *Fake) Close() error { return nil }
