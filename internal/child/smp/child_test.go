package smp_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/child"
	"github.com/moult-ota/moult/internal/child/childtest"
	"github.com/moult-ota/moult/internal/child/smp"
	"github.com/moult-ota/moult/internal/virtualmcu"
)

// kinds are the servers and lines that a child may be on.
var kinds = map[string]func(*virtualmcu.Options){
	"as Zephyr":         nil,
	"first version":     func(o *virtualmcu.Options) { o.V1 = true },
	"frugal":            func(o *virtualmcu.Options) { o.Frugal = true },
	"many buffers":      func(o *virtualmcu.Options) { o.Buffers = 16 },
	"one small buffer":  func(o *virtualmcu.Options) { o.Buffers, o.BufferSize = 1, 256 },
	"loses":             func(o *virtualmcu.Options) { o.Buffers, o.Faults = 16, virtualmcu.Faults{Seed: 1, Lose: .15} },
	"doubles":           func(o *virtualmcu.Options) { o.Buffers, o.Faults = 16, virtualmcu.Faults{Seed: 2, Double: .5} },
	"late and in a mix": func(o *virtualmcu.Options) { o.Buffers, o.Faults = 16, mixed },
}

var mixed = virtualmcu.Faults{Seed: 3, Lose: .05, Double: .2, Delay: .3, Late: 5 * time.Millisecond}

func TestChild(t *testing.T) {
	for name, open := range ways {
		for kind, change := range kinds {
			t.Run(name+", "+kind, func(t *testing.T) {
				t.Parallel()
				childtest.Run(t, func(t *testing.T) childtest.Bench {
					d := board(t, change)
					return childtest.Bench{Child: smp.New(open(t, d), quick), Old: image(t, 1, 5003), New: image(t, 2, 7001)}
				})
			})
		}
	}
}

func TestResetInTheMiddle(t *testing.T) {
	for name, open := range ways {
		t.Run(name, func(t *testing.T) {
			d := board(t, nil)
			k := smp.New(open(t, d), quick)
			defer k.Close()
			resets := 0
			check(t, k.Send(t.Context(), image(t, 2, 7001), func(n int64) {
				if n > 3000 && resets == 0 {
					resets++
					d.Power(false)
					d.Power(true) // it forgot the offset
				}
			}))
			if resets != 1 {
				t.Error("it was not reset")
			}
		})
	}
}

func TestRefusedForGood(t *testing.T) {
	for name, im := range map[string]child.Image{
		"larger than the slot": image(t, 2, 40000),
		"not an image":         {Bytes: make([]byte, 5000)},
	} {
		t.Run(name, func(t *testing.T) {
			k := smp.New(overUDP(t, board(t, nil)), quick)
			defer k.Close()
			if err := k.Send(t.Context(), im, nil); !errors.Is(err, child.ErrRefused) {
				t.Errorf("Send = %v, want ErrRefused", err)
			}
		})
	}
}

func TestWrongHash(t *testing.T) {
	k := smp.New(overUDP(t, board(t, nil)), quick)
	defer k.Close()
	im := image(t, 2, 5003)
	im.Hash[0] ^= 1
	if err := k.Send(t.Context(), im, nil); err == nil {
		t.Error("Send is content with an image of another hash")
	}
	if err := k.Try(t.Context(), im); err == nil {
		t.Error("Try is content with an image that is not there")
	}
}

func TestSilenceIsAway(t *testing.T) {
	for name, open := range ways {
		t.Run(name, func(t *testing.T) {
			d := board(t, nil)
			k := smp.New(open(t, d), smp.Options{Timeout: 10 * time.Millisecond, Erase: 100 * time.Millisecond})
			defer k.Close()
			d.Power(false)
			if _, err := k.State(t.Context()); !errors.Is(err, child.ErrAway) {
				t.Errorf("State = %v, want ErrAway", err)
			}
			d.Power(true)
			if _, err := k.State(t.Context()); err != nil {
				t.Errorf("State = %v after it is back", err)
			}
			err := k.Send(t.Context(), image(t, 2, 7001), func(n int64) { d.Power(n < 3000) })
			if !errors.Is(err, child.ErrAway) {
				t.Errorf("Send = %v, want ErrAway", err)
			}
		})
	}
}

func TestNothingThereIsAway(t *testing.T) {
	for name, open := range map[string]func() (smp.Transport, error){
		"serial": smp.Serial("/dev/not-there", 0),
		"udp":    smp.UDP("127.0.0.1:9"),
	} {
		k := smp.New(open, smp.Options{Timeout: 10 * time.Millisecond})
		if _, err := k.State(t.Context()); !errors.Is(err, child.ErrAway) {
			t.Errorf("%s: State = %v, want ErrAway", name, err)
		}
		k.Close()
	}
}

func TestStaleImageIsReplaced(t *testing.T) {
	k := smp.New(overUDP(t, board(t, nil)), quick)
	defer k.Close()
	check(t, k.Send(t.Context(), image(t, 2, 7001), nil))
	check(t, k.Send(t.Context(), image(t, 3, 6001), nil))
	s, err := k.State(t.Context())
	if check(t, err); s.Other.Version.Major != 3 {
		t.Errorf("the other slot has %v, want 3.0.0", s.Other.Version)
	}
}

func TestSentOnce(t *testing.T) {
	k := smp.New(overUDP(t, board(t, nil)), quick)
	defer k.Close()
	im := image(t, 2, 7001)
	check(t, k.Send(t.Context(), im, nil))
	calls := 0
	check(t, k.Send(t.Context(), im, func(int64) { calls++ }))
	if calls != 1 {
		t.Errorf("the second Send told %d times, want once: it has all", calls)
	}
}

// TestGoesOn wants a second upload to begin where the first one ended.
func TestGoesOn(t *testing.T) {
	k := smp.New(overUDP(t, board(t, nil)), quick)
	defer k.Close()
	im := image(t, 2, 7001)
	ctx, cancel := context.WithCancel(t.Context())
	err := k.Send(ctx, im, func(n int64) {
		if n > 3000 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("Send = %v, want Canceled", err)
	}
	first := int64(-1)
	check(t, k.Send(t.Context(), im, func(n int64) {
		if first < 0 {
			first = n
		}
	}))
	if first < 3000 {
		t.Errorf("it went on at %d, want at 3000 or after", first)
	}
}
