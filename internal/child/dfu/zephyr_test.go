package dfu_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/child"
	"github.com/moult-ota/moult/internal/child/childtest"
	"github.com/moult-ota/moult/internal/child/dfu"
	"github.com/moult-ota/moult/internal/virtualmcu"
	"github.com/moult-ota/moult/mcuboot"
)

// firmware is one that confirms itself.
func firmware(t *testing.T, version string) child.Image {
	t.Helper()
	v, err := mcuboot.ParseVersion(version)
	check(t, err)
	text, err := virtualmcu.Firmware{Version: v, Key: childtest.Key, Habits: virtualmcu.Habits{Confirm: virtualmcu.ConfirmSelf}}.Image()
	check(t, err)
	return childtest.MustImage(text)
}

// board is a virtual one that runs version 1.4.0.
func board(t *testing.T, change func(*virtualmcu.Options)) *virtualmcu.Device {
	t.Helper()
	o := virtualmcu.Options{Keys: []mcuboot.PublicKey{childtest.PublicKey()}, Image: firmware(t, "1.4.0").Bytes}
	change(&o)
	d, err := virtualmcu.New(o)
	check(t, err)
	d.Power(true)
	return d
}

// TestSuite is the contract of a child, over each of Zephyr's stacks. bcdDevice
// is the same in DFU mode, where the board stays until it is restarted.
func TestSuite(t *testing.T) {
	for _, stack := range []virtualmcu.Stack{virtualmcu.StackLegacy, virtualmcu.StackNext} {
		t.Run(stack.String(), func(t *testing.T) {
			childtest.Run(t, func(t *testing.T) childtest.Bench {
				d := board(t, func(o *virtualmcu.Options) {
					o.Stack, o.NoReboot, o.ShowVersion = stack, true, virtualmcu.TellDevice
					o.Erase, o.Transfer = 30*time.Millisecond, 1024
				})
				c := on(t, d.USB(), func(o *dfu.Options) {
					o.Version = dfu.VersionBCD
					o.Restart = func(context.Context) error { d.Reset(); return nil }
				})
				return childtest.Bench{Child: c, Old: firmware(t, "1.4.0"), New: firmware(t, "2.0.0"), Mute: true}
			})
		})
	}
}

// TestRestartsByItself: the board starts the new image when it has all of it.
func TestRestartsByItself(t *testing.T) {
	for _, stack := range []virtualmcu.Stack{virtualmcu.StackLegacy, virtualmcu.StackNext} {
		for _, host := range []bool{false, true} {
			d := board(t, func(o *virtualmcu.Options) {
				o.Stack, o.HostDetach, o.Transfer = stack, host, 1024
				o.Times = virtualmcu.Times{Erase: 50 * time.Millisecond, Boot: 50 * time.Millisecond, Reset: 20 * time.Millisecond, Detach: 10 * time.Millisecond}
			})
			time.Sleep(100 * time.Millisecond)
			restarts := 0
			c := on(t, d.USB(), func(o *dfu.Options) { o.Restart = func(context.Context) error { restarts++; return nil } })
			next := firmware(t, "2.0.0")
			check(t, c.Send(t.Context(), next, nil))
			s, err := c.State(t.Context())
			for end := time.Now().Add(5 * time.Second); errors.Is(err, child.ErrAway) && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
				s, err = c.State(t.Context())
			}
			if err != nil || s.Running.Version != next.Version || restarts > 0 { // another one ends the trial
				t.Errorf("%v, reset by the host %v: State = %v, %v, want %v; restarted %d times more", stack, host, s.Running.Version, err, next.Version, restarts)
			}
		}
	}
}

// TestFirstSlot: Zephyr's stacks do not write the slot that runs.
func TestFirstSlot(t *testing.T) {
	for stack, name := range map[virtualmcu.Stack]string{virtualmcu.StackLegacy: "image_0", virtualmcu.StackNext: "slot0_image"} {
		d := board(t, func(o *virtualmcu.Options) { o.Stack = stack })
		err := on(t, d.USB(), func(o *dfu.Options) { o.Alts = []string{name} }).Send(t.Context(), firmware(t, "2.0.0"), nil)
		f := new(dfu.Fault)
		if !errors.As(err, &f) || f.Act != "block 0" {
			t.Errorf("%v: Send = %v, want the device to say no", stack, err)
		}
	}
}
