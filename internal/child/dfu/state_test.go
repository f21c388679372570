package dfu_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/child"
	"github.com/moult-ota/moult/internal/child/dfu"
	"github.com/moult-ota/moult/internal/child/dfu/dfutest"
)

func TestState(t *testing.T) {
	for _, tt := range []struct {
		name, where string
		gadget      func(*dfutest.Device)
		dfuMode     bool
		want        string // version, or in the error
	}{
		{"interface string", "", nil, false, "1.4.0"},
		{"with a build", "", func(d *dfutest.Device) { d.Version = "v1.4.0+7" }, false, "1.4.0+7"},
		{"product's name", "", func(d *dfutest.Device) { d.Version, d.Name = "DFU", "Board 3.2.1" }, false, "3.2.1"},
		{"not a version", "", func(d *dfutest.Device) { d.Version, d.Name = "10.1.2.3", "Board 3.2" }, false, "tells no version"},
		{"own form", `fw(\d+\.\d+)`, func(d *dfutest.Device) { d.Version = "1.0.0 fw2.7" }, false, "2.7.0"},
		{"bcdDevice", "bcd", func(d *dfutest.Device) { d.Release = 0x1234 }, false, "12.34.0"},
		{"bcdDevice in DFU mode", "bcd", nil, true, "1.4.0"},
		{"bcdDevice with three parts", "bcd3", func(d *dfutest.Device) { d.Release = 0x0142 }, false, "1.4.2"},
		{"bcdDevice that is none", "bcd", func(d *dfutest.Device) { d.Release = 0x01a2 }, false, "tells no version"},
		{"nowhere", "none", nil, false, "0.0.0"},
		{"in DFU mode", "", func(d *dfutest.Device) { d.Deaf, d.Name = true, "Board 1.4.0" }, true, "child does not answer: it is in DFU mode, and stays there: 2fe3:ffff on port 1-1.4 does not restart"},
	} {
		d := gadget(tt.gadget)
		d.Start(tt.dfuMode)
		s, err := on(t, d, func(o *dfu.Options) { o.Version = tt.where }).State(t.Context())
		if err != nil && !strings.Contains(err.Error(), tt.want) || err == nil && s.Running.Version.String() != tt.want {
			t.Errorf("%s: State = %v, %v, want %s", tt.name, s.Running.Version, err, tt.want)
		}
		if s.Running.Hash != nil || s.Running.Confirmed {
			t.Errorf("%s: it tells more than USB does: %+v", tt.name, s)
		}
	}
}

// TestRescue: a device that an interrupted transfer left in DFU mode comes
// back; one that is being used does not.
func TestRescue(t *testing.T) {
	d := gadget(nil).Start(true)
	bus := &dfutest.Bus{}
	bus.Plug("1-1", d)
	c, err := dfu.New(dfu.Options{Match: dfu.Match{Vendor: 0x2fe3}, Bus: bus})
	check(t, err)
	all, err := bus.Devices()
	check(t, err)
	other, err := bus.Open(all[0])
	check(t, err)
	check(t, other.Claim(0))
	if _, err := c.State(t.Context()); !errors.Is(err, child.ErrAway) || !strings.Contains(err.Error(), "another program") {
		t.Errorf("State of a device in use = %v", err)
	}
	if _, inDFU := d.State(); !inDFU {
		t.Error("it was taken from its user")
	}
	check(t, other.Close())
	if _, err := c.State(t.Context()); !errors.Is(err, child.ErrAway) {
		t.Errorf("State in DFU mode = %v", err)
	}
	if s, err := c.State(t.Context()); err != nil || s.Running.Version.String() != "1.4.0" {
		t.Errorf("State after that = %v, %v", s, err)
	}
}

// young is a bus whose devices were just plugged in.
type young struct{ *dfutest.Bus }

func (y young) Devices() ([]dfu.Device, error) {
	all, err := y.Bus.Devices()
	for i := range all {
		all[i].Connected = time.Second
	}
	return all, err
}

// TestLinger: a boot loader that waits for a host is left alone.
func TestLinger(t *testing.T) {
	d := gadget(nil).Start(true)
	bus := young{&dfutest.Bus{}}
	bus.Plug("1-1", d)
	c, err := dfu.New(dfu.Options{Match: dfu.Match{Vendor: 0x2fe3}, Bus: bus})
	check(t, err)
	if _, err := c.State(t.Context()); !errors.Is(err, child.ErrAway) {
		t.Errorf("State = %v", err)
	}
	if _, inDFU := d.State(); !inDFU {
		t.Error("it was restarted")
	}
}

func TestReset(t *testing.T) {
	boots := 0
	restart := func(context.Context) error { boots++; return nil }
	for _, tt := range []struct {
		name    string
		gadget  func(*dfutest.Device)
		dfuMode bool
		options func(*dfu.Options)
		want    string // in the error
		starts  int
	}{
		{"by a command", nil, false, func(o *dfu.Options) { o.Restart = restart }, "", 1},
		{"not configured", nil, false, nil, "set a reset command", 0},
		{"out of DFU mode", nil, true, nil, "", 1},
		{"by DETACH", nil, false, func(o *dfu.Options) { o.ResetBy = dfu.ResetDetach }, "", 1},
		{"by a port reset that it does not care for", nil, false, func(o *dfu.Options) { o.ResetBy = dfu.ResetPort }, "does not restart", 0},
		{"not there", nil, false, func(o *dfu.Options) { o.Match.Port = "1-2" }, child.ErrAway.Error(), 0},
	} {
		boots = 0
		d := gadget(tt.gadget).Start(tt.dfuMode)
		d.Boot = func(*dfutest.Device) { boots++ }
		err := on(t, d, tt.options).Reset(t.Context())
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) || boots != tt.starts {
			t.Errorf("%s: Reset = %v after %d starts, want %q after %d", tt.name, err, boots, tt.want, tt.starts)
		}
	}
}

func TestNew(t *testing.T) {
	for _, tt := range []struct {
		o    dfu.Options
		want string
	}{
		{dfu.Options{}, "no device is named"},
		{dfu.Options{Match: dfu.Match{Vendor: 1}, Version: "("}, "where to read the version"},
		{dfu.Options{Match: dfu.Match{Vendor: 1}, Version: "abc"}, "0 groups"},
		{dfu.Options{Match: dfu.Match{Vendor: 1}, Program: "dfu-util"}, "no folder"},
	} {
		if _, err := dfu.New(tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("New(%+v) = %v, want %q", tt.o, err, tt.want)
		}
	}
}

func TestParseMatch(t *testing.T) {
	for text, want := range map[string]dfu.Match{
		"2fe3:0100@1-1.2": {Vendor: 0x2fe3, Product: 0x0100, Port: "1-1.2"},
		"2fe3:*@1-1":      {Vendor: 0x2fe3, Port: "1-1"},
		"0483:df11":       {Vendor: 0x0483, Product: 0xdf11},
	} {
		if got, err := dfu.ParseMatch(text); err != nil || got != want {
			t.Errorf("ParseMatch(%q) = %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, bad := range []string{"", "2fe3", "2fe3:", "2fe3:01000", "2fe3:0100@", "2fe3:0100@usb1", "2fe3:0100@1-", "2fe3:0100@1-1/../2", "xyzw:0100", "1:2"} {
		if got, err := dfu.ParseMatch(bad); err == nil {
			t.Errorf("ParseMatch(%q) = %+v", bad, got)
		}
	}
}

// TestTwoAlike: of two boards the port says which is meant.
func TestTwoAlike(t *testing.T) {
	bus := &dfutest.Bus{}
	bus.Plug("1-1", gadget(nil))
	bus.Plug("1-2", gadget(func(d *dfutest.Device) { d.Version = "1.5.0" }))
	c, err := dfu.New(dfu.Options{Match: dfu.Match{Vendor: 0x2fe3}, Bus: bus})
	check(t, err)
	if s, err := c.State(t.Context()); err == nil || errors.Is(err, child.ErrAway) {
		t.Errorf("State = %+v, %v, want it to ask which", s, err)
	}
	c, err = dfu.New(dfu.Options{Match: dfu.Match{Port: "1-2"}, Bus: bus})
	check(t, err)
	if s, err := c.State(t.Context()); err != nil || s.Running.Version.String() != "1.5.0" {
		t.Errorf("State = %+v, %v", s, err)
	}
}
