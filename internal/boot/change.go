package boot

import (
	"errors"
	"fmt"

	"github.com/moult-ota/moult/internal/slot"
)

// Errors of the application's transitions, for callers that branch.
var (
	ErrCurrent = errors.New("the slot is in use")
	ErrNoTrial = errors.New("the slot is not on trial")
	ErrSlot    = errors.New("no such slot")
)

// First returns the register of a device that leaves the factory with a good
// image in s.
func First(s slot.Slot, im Image, floor uint32) Vars {
	v := Vars{Current: s, Floor: floor}
	return v.with(s, SlotVars{State: Confirmed, Image: im})
}

// Release says that slot s is about to be overwritten. Save the result before
// the first write: the slot then counts for nothing, and a trial of it that
// waited is off. It refuses the running and the current slot.
func Release(v Vars, s, running slot.Slot) (Vars, error) {
	if err := inactive(v, s, running); err != nil {
		return v, fmt.Errorf("release slot %v: %w", s, err)
	}
	if v.Trial == s {
		v.Trial, v.Tries = slot.None, 0
	}
	return v.with(s, SlotVars{}), nil
}

// Request sets the upgrade flag: from the next boot on, s is on trial. The
// image must have been written and read back before. tries 0 means
// DefaultTries. It refuses the current slot, an image below the floor, and a
// request while another slot is on trial.
func Request(v Vars, s slot.Slot, im Image, tries uint8) (Vars, error) {
	err := inactive(v, s, slot.None)
	switch {
	case err != nil:
	case v.Trial != slot.None && v.Trial != s:
		err = fmt.Errorf("slot %v is on trial: %w", v.Trial, ErrCurrent)
	case im.Security < v.Floor:
		err = fmt.Errorf("security version %d, floor %d: %w", im.Security, v.Floor, ErrFloor)
	}
	if err != nil {
		return v, fmt.Errorf("put slot %v on trial: %w", s, err)
	}
	if tries == 0 {
		tries = DefaultTries
	}
	v.Trial, v.Tries = s, tries
	return v.with(s, SlotVars{State: Valid, Image: im}), nil
}

// Confirm makes the running slot the current one, after the application's
// self-test. floor, when it is higher than Vars.Floor, becomes the new floor;
// it may not be higher than the running image's own security version. Asking
// again changes nothing.
func Confirm(v Vars, running slot.Slot, floor uint32) (Vars, error) {
	x := v.Slot(running)
	switch {
	case !running.Valid():
		return v, fmt.Errorf("confirm slot %v: %w", running, ErrSlot)
	case running != v.Trial && running != v.Current:
		return v, fmt.Errorf("confirm slot %v: %w", running, ErrNoTrial)
	case floor > x.Image.Security:
		return v, fmt.Errorf("confirm slot %v: floor %d would lock out its security version %d: %w",
			running, floor, x.Image.Security, ErrFloor)
	}
	if running == v.Trial {
		v.Current, v.Trial, v.Tries = running, slot.None, 0
	}
	x.State, x.Reason = Confirmed, NoReason
	v.Floor = max(v.Floor, floor)
	return v.with(running, x), nil
}

// Recovered makes s current without a trial, confirmed as First does: what a
// loader does that had nothing to start, after it wrote im into s and read it
// back. The other slot keeps what is known about it, and the floor stays. It
// refuses an image below the floor, and while a trial waits.
func Recovered(v Vars, s slot.Slot, im Image) (Vars, error) {
	var err error
	switch {
	case !s.Valid():
		err = ErrSlot
	case v.Trial != slot.None:
		err = fmt.Errorf("slot %v is on trial: %w", v.Trial, ErrCurrent)
	case im.Security < v.Floor:
		err = fmt.Errorf("security version %d, floor %d: %w", im.Security, v.Floor, ErrFloor)
	}
	if err != nil {
		return v, fmt.Errorf("recover slot %v: %w", s, err)
	}
	v.Current = s
	return v.with(s, SlotVars{State: Confirmed, Image: im}), nil
}

// RollBack gives up the trial, whether it runs already or waits for the next
// boot: from then on the current slot starts. running is None or the slot that
// runs; a slot that runs as the current one, with nothing on trial, cannot be
// rolled back.
func RollBack(v Vars, running slot.Slot, why Reason) (Vars, error) {
	if v.Trial == slot.None {
		return v, fmt.Errorf("roll back slot %v: %w", running, ErrNoTrial)
	}
	return fail(v, v.Trial, why), nil
}

// inactive returns nil when s may be written.
func inactive(v Vars, s, running slot.Slot) error {
	switch {
	case !s.Valid():
		return ErrSlot
	case s == v.Current || s == running:
		return ErrCurrent
	}
	return nil
}
