package boot

import (
	"errors"
	"fmt"

	"github.com/moult-ota/moult/internal/slot"
)

// A Check reads a slot and returns the image in it when that image is complete
// and verified: length, SHA-256 and, where the loader has a key, signature.
// Whether it is the expected image is not Check's business but Decide's.
type Check func(slot.Slot) (Image, error)

// An Action is what the loader does.
type Action uint8

// The actions. Idle and Recover both open the loader's recovery door (serial,
// DFU, network); Recover says that something is broken.
const (
	Idle    Action = iota // no image was ever made current: wait for an upgrade
	Run                   // start Decision.Slot
	Recover               // there should be an image, but none is fit to start
)

func (a Action) String() string { return name("action", int(a), actionNames) }

var actionNames = []string{"idle", "run", "recover"}

// A Decision is what the loader does after a reset.
type Decision struct {
	Action Action
	Slot   slot.Slot // what to start; None unless Action is Run
	Vars   Vars      // what the register must hold before the start
	Save   bool      // whether Vars differ from what it holds now
	Why    string    // for the console and the log
}

// ErrMismatch means that a slot holds a complete image, but not the one that
// the register names.
var ErrMismatch = errors.New("not the image that was asked for")

// ErrFloor means that an image's security version is below the floor.
var ErrFloor = errors.New("security version is below the floor")

// Decide says what to start, given the register and the slots. Vars must be
// saved before the start: a trial that is not counted could run for ever.
func Decide(v Vars, check Check) Decision {
	d := decide(v, check)
	d.Save = d.Vars != v
	return d
}

func decide(v Vars, check Check) Decision {
	if v.Trial == slot.None {
		return current(v, check, "")
	}
	s := v.Trial
	if v.Tries == 0 {
		return current(fail(v, s, ReasonTries), check, fmt.Sprintf("%v used up its tries; ", s))
	}
	if err := fit(v, s, check); err != nil {
		return current(fail(v, s, reasonOf(err)), check, fmt.Sprintf("%v is unfit: %v; ", s, err))
	}
	v.Tries--
	return Decision{Action: Run, Slot: s, Vars: v, Why: fmt.Sprintf("%v is on trial, %d tries left", s, v.Tries)}
}

// current starts the current image, or the other one if that was confirmed.
func current(v Vars, check Check, why string) Decision {
	s := v.Current
	if s == slot.None {
		return Decision{Action: Idle, Vars: v, Why: why + "no current image: waiting for an upgrade"}
	}
	err := fit(v, s, check)
	if err == nil {
		return Decision{Action: Run, Slot: s, Vars: v, Why: why + fmt.Sprintf("%v is current", s)}
	}
	why += fmt.Sprintf("%v is unfit: %v; ", s, err)
	other := s.Other()
	if v.Slot(other).State != Confirmed {
		return Decision{Action: Recover, Vars: v, Why: why + fmt.Sprintf("%v was not confirmed", other)}
	}
	if oerr := fit(v, other, check); oerr != nil {
		return Decision{Action: Recover, Vars: v, Why: why + fmt.Sprintf("%v is unfit: %v", other, oerr)}
	}
	v = fail(v, s, reasonOf(err))
	v.Current = other
	return Decision{Action: Run, Slot: other, Vars: v, Why: why + fmt.Sprintf("%v was confirmed before", other)}
}

// fit returns nil when s holds the image that v names and it may start.
func fit(v Vars, s slot.Slot, check Check) error {
	im, err := check(s)
	switch {
	case err != nil:
		return err
	case im != v.Slot(s).Image:
		return ErrMismatch
	case im.Security < v.Floor:
		return ErrFloor
	}
	return nil
}

func reasonOf(err error) Reason {
	if errors.Is(err, ErrFloor) {
		return ReasonFloor
	}
	return ReasonImage
}

// fail marks s and, when it is on trial, ends the trial.
func fail(v Vars, s slot.Slot, why Reason) Vars {
	x := v.Slot(s)
	x.State, x.Reason = Failed, why
	v = v.with(s, x)
	if v.Trial == s {
		v.Trial, v.Tries = slot.None, 0
	}
	return v
}

// Boot is the loader's run from reset to jump: load, decide, save. The caller
// carries out the Decision even when err is not nil; err is for the log.
//
// When the register cannot be written, Boot does not start a trial, which
// would go uncounted, but the current image. When it cannot be read, the
// Decision is Recover.
func Boot(env Env, check Check) (Decision, error) {
	v, err := env.Load()
	if err != nil {
		return Decision{Action: Recover, Why: "the register cannot be read"}, fmt.Errorf("read boot register: %w", err)
	}
	d := Decide(v, check)
	if !d.Save {
		return d, nil
	}
	if err = env.Save(d.Vars); err == nil {
		return d, nil
	}
	err = fmt.Errorf("write boot register: %w", err)
	if d.Slot == v.Trial {
		d = current(v, check, "the trial cannot be counted; ")
	}
	return d, err
}

// CheckSlots returns a Check over slots that open opens. verify, when not nil,
// is asked about a complete image last: whether its signature holds.
func CheckSlots(open func(slot.Slot) (slot.File, error), verify func(slot.Descriptor) error) Check {
	return func(s slot.Slot) (Image, error) {
		f, err := open(s)
		if err != nil {
			return Image{}, err
		}
		defer f.Close()
		d, err := slot.Check(f)
		if err == nil && verify != nil {
			err = verify(d)
		}
		return ImageOf(d), err
	}
}
