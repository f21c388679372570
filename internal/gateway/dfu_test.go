package gateway

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/child/dfu/dfutest"
	"github.com/moult-ota/moult/internal/virtualmcu"
	"github.com/moult-ota/moult/mcuboot"
)

// button lets a program press a board's reset button: it makes a file, and the
// board takes it away.
func (s *site) button(d *virtualmcu.Device, name string) (program string) {
	s.Helper()
	file := filepath.Join(s.dir, name)
	go func() {
		for s.Context().Err() == nil {
			if _, err := os.Stat(file); err == nil {
				d.Reset()
				os.Remove(file)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	return s.program(name+".sh", fmt.Sprintf("touch %s; while [ -e %s ]; do sleep 0.02; done", file, file))
}

// TestDFU: boards on USB tell their version alone, and their images confirm
// themselves, or do not.
func TestDFU(t *testing.T) {
	s := newSite(t)
	boards := map[string]*virtualmcu.Device{}
	bus := &dfutest.Bus{}
	for n, id := range []string{"good", "crash", "never"} {
		d := virtual(t, func(o *virtualmcu.Options) { o.Transfer = 512 })
		port := fmt.Sprintf("1-%d", n+1)
		bus.Plug(port, d.USB())
		boards[id] = d
		s.child(id, map[string]any{"device_type": id, "driver": "dfu", "address": "2fe3:*@" + port, "reset_command": s.button(d, "button-"+id), "away": "5s"})
	}
	s.usb = bus
	s.run()
	for id, h := range map[string]virtualmcu.Habits{
		"good": {Confirm: virtualmcu.ConfirmSelf}, "crash": {Crash: true}, "never": {Confirm: virtualmcu.ConfirmNever},
	} {
		device := s.device(id).ID
		d := s.deploy("fw-"+id, id, firmware(t, 2, h))
		want, version := good, uint8(2)
		switch id {
		case "crash":
			want, version = "offered downloading installing rolled-back", 1
		case "never":
			want, version = "offered downloading installing trying rolled-back", 1
		}
		if states, detail := s.path(d, device); states != want {
			t.Errorf("%s: %q (%s), want %q", id, states, detail, want)
		}
		if v, answers := boards[id].Running(); v.Major != version || !answers {
			t.Errorf("%s runs %v, answers %v; want %d.0.0", id, v, answers, version)
		}
		if _, next := boards[id].Slots(); next != mcuboot.SwapNone {
			t.Errorf("%s is left with %v to come", id, next)
		}
	}
	if code, out, errs := s.call("show"); code != exitOK || strings.Count(out, "\n  state ") != 3 {
		t.Errorf("show = %d, %s%s", code, out, errs)
	}
}

// TestLeftInDFU: a board that a transfer left in DFU mode, when the gateway
// lost its power, comes back by its reset command.
func TestLeftInDFU(t *testing.T) {
	s := newSite(t)
	d := virtual(t, func(o *virtualmcu.Options) { o.Transfer = 512 })
	bus := &dfutest.Bus{}
	bus.Plug("1-1", d.USB())
	s.child("left", map[string]any{"device_type": "left", "driver": "dfu", "address": "2fe3:*@1-1", "reset_command": s.button(d, "button"), "away": "5s"})
	s.usb = bus
	if _, err := d.USB().Control(0x21, 0, 1000, 0, nil); err != nil { // DETACH
		t.Fatal(err)
	}
	s.run()
	device := s.device("left").ID
	if states, detail := s.path(s.deploy("fw-left", "left", firmware(t, 2, virtualmcu.Habits{Confirm: virtualmcu.ConfirmSelf})), device); states != good {
		t.Errorf("%q (%s), want %q", states, detail, good)
	}
}
