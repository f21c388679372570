package boot_test

import (
	"errors"
	"testing"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/slot"
)

// TestChange is what an application may and may not do to the register.
func TestChange(t *testing.T) {
	type step func(boot.Vars) (boot.Vars, error)
	release := func(s, running slot.Slot) step {
		return func(v boot.Vars) (boot.Vars, error) { return boot.Release(v, s, running) }
	}
	request := func(s slot.Slot, im boot.Image, tries uint8) step {
		return func(v boot.Vars) (boot.Vars, error) { return boot.Request(v, s, im, tries) }
	}
	confirm := func(s slot.Slot, floor uint32) step {
		return func(v boot.Vars) (boot.Vars, error) { return boot.Confirm(v, s, floor) }
	}
	rollBack := func(s slot.Slot) step {
		return func(v boot.Vars) (boot.Vars, error) { return boot.RollBack(v, s, boot.ReasonSelfTest) }
	}
	recovered := func(s slot.Slot, im boot.Image) step {
		return func(v boot.Vars) (boot.Vars, error) { return boot.Recovered(v, s, im) }
	}
	idle := vars(boot.SlotVars{})
	failed := vars(boot.SlotVars{State: boot.Failed, Reason: boot.ReasonSelfTest, Image: imageB})
	confirmed := change(vars(boot.SlotVars{State: boot.Confirmed, Image: imageB}), func(v *boot.Vars) { v.Current = slot.B })
	tests := []struct {
		name string
		in   boot.Vars
		step step
		out  boot.Vars
		err  error
	}{
		{"request", idle, request(slot.B, imageB, 2), trial(2), nil},
		{"request with default tries", idle, request(slot.B, imageB, 0), trial(boot.DefaultTries), nil},
		{"request again", trial(1), request(slot.B, imageB, 3), trial(3), nil},
		{"request after a failure", failed, request(slot.B, imageB, 3), trial(3), nil},
		{"request the current slot", idle, request(slot.A, imageB, 3), idle, boot.ErrCurrent},
		{"request no slot", idle, request(slot.None, imageB, 3), idle, boot.ErrSlot},
		{"request below the floor", idle, request(slot.B, boot.Image{Security: 2}, 3), idle, boot.ErrFloor},
		{"request while the other slot is on trial", change(trial(1), func(v *boot.Vars) { v.Current = slot.None }), request(slot.A, imageA, 3),
			change(trial(1), func(v *boot.Vars) { v.Current = slot.None }), boot.ErrCurrent},
		{"confirm", trial(0), confirm(slot.B, 0), confirmed, nil},
		{"confirm and raise the floor", trial(2), confirm(slot.B, 6), change(confirmed, func(v *boot.Vars) { v.Floor = 6 }), nil},
		{"confirm never lowers the floor", trial(2), confirm(slot.B, 1), confirmed, nil},
		{"confirm above the own version", trial(2), confirm(slot.B, 7), trial(2), boot.ErrFloor},
		{"confirm again", confirmed, confirm(slot.B, 0), confirmed, nil},
		{"confirm the current slot while another waits", trial(3), confirm(slot.A, 0), trial(3), nil},
		{"confirm what was given up", failed, confirm(slot.B, 0), failed, boot.ErrNoTrial},
		{"confirm nothing", trial(3), confirm(slot.None, 0), trial(3), boot.ErrSlot},
		{"roll back the running trial", trial(1), rollBack(slot.B), failed, nil},
		{"roll back a trial that waits", trial(3), rollBack(slot.A), failed, nil},
		{"roll back nothing", idle, rollBack(slot.A), idle, boot.ErrNoTrial},
		{"recovered, and the other slot is kept", idle, recovered(slot.B, imageB), confirmed, nil},
		{"recovered in place", confirmed, recovered(slot.B, imageA),
			change(confirmed, func(v *boot.Vars) { v.Slots[1] = boot.SlotVars{State: boot.Confirmed, Image: imageA} }), nil},
		{"recovered after a failure", failed, recovered(slot.B, imageB), confirmed, nil},
		{"recovered, never had an image", boot.Vars{}, recovered(slot.A, imageA), boot.First(slot.A, imageA, 0), nil},
		{"recovered below the floor", idle, recovered(slot.B, boot.Image{Security: 2}), idle, boot.ErrFloor},
		{"recovered while a trial waits", trial(3), recovered(slot.A, imageA), trial(3), boot.ErrCurrent},
		{"recovered no slot", idle, recovered(slot.None, imageA), idle, boot.ErrSlot},
		{"release", failed, release(slot.B, slot.A), idle, nil},
		{"release a slot that waits", trial(3), release(slot.B, slot.A), idle, nil},
		{"release the current slot", confirmed, release(slot.B, slot.B), confirmed, boot.ErrCurrent},
		{"release the running slot", trial(2), release(slot.B, slot.B), trial(2), boot.ErrCurrent},
		{"release no slot", idle, release(slot.None, slot.A), idle, boot.ErrSlot},
	}
	for _, tt := range tests {
		got, err := tt.step(tt.in)
		if got != tt.out || !errors.Is(err, tt.err) {
			t.Errorf("%s: %+v\n got %+v, %v\nwant %+v, %v", tt.name, tt.in, got, err, tt.out, tt.err)
		}
	}
}
