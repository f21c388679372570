package virtualmcu_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/virtualmcu"
	"github.com/moult-ota/moult/internal/virtualmcu/flash"
	"github.com/moult-ota/moult/mcuboot"
)

func TestPower(t *testing.T) {
	d := board(t, nil)
	runs(t, d, 1, mcuboot.SwapNone)
	d.Power(false)
	if _, answers := d.Running(); answers || d.On() {
		t.Error("runs without power")
	}
	if _, err := d.USB().Control(0x80, 0, 0, 0, make([]byte, 2)); !errors.Is(err, virtualmcu.ErrGone) {
		t.Errorf("Control without power = %v", err)
	}
	d.Power(true)
	runs(t, d, 1, mcuboot.SwapNone)
	d.Stick()
	if _, answers := d.Running(); answers {
		t.Error("answers although stuck")
	}
	d.Reset()
	runs(t, d, 1, mcuboot.SwapNone)
}

// TestHabits deploys an image with each habit and looks at what becomes of it.
func TestHabits(t *testing.T) {
	for name, tt := range map[string]struct {
		habits   virtualmcu.Habits
		watchdog time.Duration
		answers  bool
		after    uint8 // version that runs after another reset
	}{
		"behaves":                    {answers: true, after: 1},
		"confirms itself":            {habits: virtualmcu.Habits{Confirm: virtualmcu.ConfirmSelf}, answers: true, after: 2},
		"never confirms":             {habits: virtualmcu.Habits{Confirm: virtualmcu.ConfirmNever}, answers: true, after: 1},
		"crashes":                    {habits: virtualmcu.Habits{Crash: true}, after: 1},
		"is for another board":       {habits: virtualmcu.Habits{Type: "nrf52840dk"}, after: 1},
		"is for this board":          {habits: virtualmcu.Habits{Type: "frdm_k64f"}, answers: true, after: 1},
		"would confirm, if it could": {habits: virtualmcu.Habits{Crash: true, Confirm: virtualmcu.ConfirmSelf}, after: 1},
	} {
		d := board(t, nil)
		download(t, d, image(t, 2, tt.habits))
		if v, answers := d.Running(); answers != tt.answers || v != version(2) {
			t.Errorf("%s: %v runs, answers %v, want %v", name, v, answers, tt.answers)
		}
		d.Power(false)
		d.Power(true)
		if v, answers := d.Running(); v != version(tt.after) || !answers {
			t.Errorf("%s: after a reset %v runs, answers %v, want %d", name, v, answers, tt.after)
		}
	}
}

func TestWatchdog(t *testing.T) {
	d := board(t, func(o *virtualmcu.Options) { o.Watchdog = time.Millisecond })
	download(t, d, image(t, 2, virtualmcu.Habits{Crash: true}))
	waitFor(t, d, func() bool { v, answers := d.Running(); return answers && v == version(1) })
}

// waitFor waits for the device to change until something holds.
func waitFor(t *testing.T, d *virtualmcu.Device, holds func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		changed := d.Changed()
		if holds() {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatal("it did not come to that in 10 s")
		}
	}
}

// TestResetWhileItBoots: a boot that was interrupted does not end.
func TestResetWhileItBoots(t *testing.T) {
	const boot = 100 * time.Millisecond
	d := board(t, func(o *virtualmcu.Options) { o.Boot = boot })
	time.Sleep(boot / 2)
	start := time.Now()
	d.Reset()
	waitFor(t, d, func() bool { _, answers := d.Running(); return answers })
	if took := time.Since(start); took < boot {
		t.Errorf("it answers %v after a reset, booting takes %v", took, boot)
	}
}

func TestCutAtAnOperation(t *testing.T) {
	d := board(t, func(o *virtualmcu.Options) { o.Back = time.Millisecond })
	d.CutAt(flash.Cut{At: 3, Torn: true})
	u := enterDFU(t, d)
	if err := u.send(0, make([]byte, 64)); !errors.Is(err, virtualmcu.ErrGone) {
		t.Errorf("DNLOAD over a power cut = %v", err)
	}
	waitFor(t, d, func() bool { _, answers := d.Running(); return answers })
	if d.Cuts() != 1 {
		t.Errorf("%d cuts, want 1", d.Cuts())
	}
	runs(t, d, 1, mcuboot.SwapNone)
}

// TestKept: a board whose flash is a file is the same board tomorrow.
func TestKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flash.bin")
	for i, want := range []uint8{2, 1} { // the trial, then back
		f, err := flash.Open(path, small)
		check(t, err)
		d, err := virtualmcu.New(virtualmcu.Options{Flash: f, Keys: []mcuboot.PublicKey{public(t)}, Image: image(t, 1, virtualmcu.Habits{})})
		check(t, err)
		d.Power(true)
		if i == 0 {
			download(t, d, image(t, 2, virtualmcu.Habits{}))
		}
		if v, _ := d.Running(); v != version(want) {
			t.Errorf("%v runs, want %d", v, want)
		}
		check(t, f.Close())
	}
}

func TestNew(t *testing.T) {
	if _, err := virtualmcu.New(virtualmcu.Options{}); !errors.Is(err, mcuboot.ErrNoKey) {
		t.Errorf("New without a key = %v", err)
	}
	keys := []mcuboot.PublicKey{public(t)}
	for name, p := range map[string][]byte{"no image": []byte("hello"), "an image that is too large": bytes.Repeat([]byte{1}, 1<<20)} {
		if _, err := virtualmcu.New(virtualmcu.Options{Keys: keys, Image: p}); err == nil {
			t.Errorf("New with %s worked", name)
		}
	}
	d, err := virtualmcu.New(virtualmcu.Options{Keys: keys})
	check(t, err)
	d.Power(true)
	if v, answers := d.Running(); answers {
		t.Errorf("an empty board runs %v", v)
	}
}
