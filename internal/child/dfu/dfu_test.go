package dfu_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/child"
	"github.com/moult-ota/moult/internal/child/childtest"
	"github.com/moult-ota/moult/internal/child/dfu"
	"github.com/moult-ota/moult/internal/child/dfu/dfutest"
	wire "github.com/moult-ota/moult/internal/wire/dfu"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var image = childtest.NewImage("2.0.0", 5000, nil)

// gadget is a device whose application runs, with change applied.
func gadget(change func(*dfutest.Device)) *dfutest.Device {
	d := &dfutest.Device{
		Vendor: 0x2fe3, Product: 0x0100, ProductDFU: 0xffff, Release: 0x0104,
		Functional: wire.Functional{Attributes: wire.CanDownload | wire.WillDetach | wire.ManifestationTolerant, DetachTimeout: 1000, TransferSize: 128, Version: wire.Version11},
		Name:       "Board", Serial: "0001", Version: "app 1.4.0",
		Alts: []string{"image_0", "image_1"},
	}
	if change != nil {
		change(d)
	}
	return d.Start(false)
}

// on puts a gadget on a port and returns the child there.
func on(t *testing.T, g dfutest.Gadget, change func(*dfu.Options)) *dfu.Child {
	t.Helper()
	bus := &dfutest.Bus{}
	bus.Plug("1-1.4", g)
	o := dfu.Options{Match: dfu.Match{Vendor: 0x2fe3, Product: 0x0100, Port: "1-1.4"}, Bus: bus, Leave: time.Second, Busy: 2 * time.Second, Down: 300 * time.Millisecond}
	if change != nil {
		change(&o)
	}
	c, err := dfu.New(o)
	check(t, err)
	return c
}

var sends = []struct {
	name    string
	gadget  func(*dfutest.Device)
	options func(*dfu.Options)
	state   wire.State // in the end
	inDFU   bool
}{
	{"tolerant, leaves by itself", nil, nil, wire.Idle, true},
	{"not tolerant: the host resets the port", func(d *dfutest.Device) { d.Functional.Attributes = wire.CanDownload | wire.WillDetach }, nil, wire.AppIdle, false},
	{"does not leave by itself after DETACH", func(d *dfutest.Device) { d.Functional.Attributes = wire.CanDownload | wire.ManifestationTolerant }, nil, wire.Idle, true},
	{"disappears after the last block", func(d *dfutest.Device) { d.Leaves = true }, nil, wire.AppIdle, false},
	{"erases for a while", func(d *dfutest.Device) { d.Erase, d.Poll = 300*time.Millisecond, 8 }, nil, wire.Idle, true},
	{"asks for long pauses, and is done before", func(d *dfutest.Device) { d.Erase, d.Poll = time.Millisecond, 40 }, func(o *dfu.Options) { o.Busy = time.Second }, wire.Idle, true},
	{"the new stack's names", func(d *dfutest.Device) { d.Alts = []string{"slot0_image", "slot1_image"} }, nil, wire.Idle, true},
	{"a name of its own, in another place", func(d *dfutest.Device) { d.Alts = []string{"spare", "ext", "app"} }, func(o *dfu.Options) { o.Alts = []string{"main", "ext"} }, wire.Idle, true},
	{"blocks larger than Linux takes", func(d *dfutest.Device) { d.Functional.TransferSize = 0xffff }, nil, wire.Idle, true},
	{"known by its serial number", nil, func(o *dfu.Options) { o.Match = dfu.Match{Vendor: 0x2fe3, Serial: "0001"} }, wire.Idle, true},
}

func TestSend(t *testing.T) {
	for _, tt := range sends {
		t.Run(tt.name, func(t *testing.T) {
			d := gadget(tt.gadget)
			c := on(t, d, tt.options)
			var last int64
			check(t, c.Send(t.Context(), image, func(n int64) {
				if n < last {
					t.Errorf("told %d bytes after %d", n, last)
				}
				last = n
			}))
			got, blocks := d.Image()
			if !bytes.Equal(got, image.Bytes) || last != int64(len(got)) {
				t.Errorf("%d bytes arrived, %d were told, want %d", len(got), last, len(image.Bytes))
			}
			for n, b := range blocks {
				if int(b) != n {
					t.Fatalf("block %d has number %d", n, b)
				}
			}
			if state, inDFU := d.State(); state != tt.state || inDFU != tt.inDFU {
				t.Errorf("it is in %v, DFU mode %v, want %v, %v", state, inDFU, tt.state, tt.inDFU)
			}
		})
	}
}

// toEnd is how many requests of the class a download has, with DETACH,
// a first GETSTATUS and the one that ends it.
var toEnd = 3 + 2*((len(image.Bytes)+127)/128)

var fails = []struct {
	name    string
	gadget  func(*dfutest.Device)
	options func(*dfu.Options)
	text    string // in the error
	is      error  // nil: neither of the contract's
	sent    bool   // blocks were sent
}{
	{"not there", nil, func(o *dfu.Options) { o.Match.Port = "1-2" }, "2fe3:0100 on port 1-2", child.ErrAway, false},
	{"another device on its port", func(d *dfutest.Device) { d.Product = 7 }, nil, "there is 2fe3:0007", child.ErrAway, false},
	{"an application without DFU", func(d *dfutest.Device) { d.NoDFU = true }, nil, "cannot be updated over USB", nil, false},
	{"does not come back", func(d *dfutest.Device) {
		d.Functional.Attributes, d.Deaf, d.StuckAt = wire.CanDownload|wire.WillDetach, true, 1
	}, nil, "does not answer", child.ErrAway, false},
	{"no setting of these names", func(d *dfutest.Device) { d.Alts = []string{"zero", "one"} }, nil, `no setting called image_1 or slot1_image, but ["zero" "one"]`, nil, false},
	{"takes no downloads", func(d *dfutest.Device) { d.Functional.Attributes = wire.CanUpload | wire.WillDetach }, nil, "takes no download", nil, false},
	{"the slot that runs", func(d *dfutest.Device) { d.FailAt, d.FailCode = 1, wire.ErrWrite }, func(o *dfu.Options) { o.Alts = []string{"image_0"} }, "block 0: the device says errWRITE", nil, true},
	{"not for it", func(d *dfutest.Device) { d.FailAt, d.FailCode = 3, wire.ErrFile }, nil, "block 2: the device says errFILE", child.ErrRefused, true},
	{"stall", func(d *dfutest.Device) { d.StallAt = 5 }, nil, "block 4: the device says errSTALLEDPKT", nil, true},
	{"gone midway", func(d *dfutest.Device) { d.GoneAt = 5 }, nil, "block 4: child does not answer", child.ErrAway, true},
	{"stuck midway", func(d *dfutest.Device) { d.StuckAt = 12 }, nil, "child does not answer", child.ErrAway, true},
	{"stuck at the end", func(d *dfutest.Device) { d.StuckAt = toEnd + 1 }, nil, "end download: ask for status: child does not answer", child.ErrAway, true},
	{"erases for ever", func(d *dfutest.Device) { d.Erase, d.Poll = time.Hour, 1 }, func(o *dfu.Options) { o.Busy = 100 * time.Millisecond }, "busy for more than 100ms", child.ErrAway, true},
	{"asks for an endless pause", func(d *dfutest.Device) { d.Erase, d.Poll = time.Hour, wire.MaxPoll }, func(o *dfu.Options) { o.Busy = 100 * time.Millisecond }, "busy for more than 100ms", child.ErrAway, true},
	{"too many blocks", func(d *dfutest.Device) { d.Functional.TransferSize = 1 }, nil, "", nil, true},
}

func TestSendFails(t *testing.T) {
	for _, tt := range fails {
		t.Run(tt.name, func(t *testing.T) {
			d := gadget(tt.gadget)
			c := on(t, d, tt.options)
			im := image
			if tt.text == "" {
				im.Bytes, tt.text, tt.is, tt.sent = make([]byte, 0x10000), "too many", child.ErrRefused, false
			}
			err := c.Send(t.Context(), im, nil)
			if err == nil || !strings.Contains(err.Error(), tt.text) {
				t.Fatalf("Send = %v, want %q in it", err, tt.text)
			}
			if errors.Is(err, child.ErrAway) != (tt.is == child.ErrAway) || errors.Is(err, child.ErrRefused) != (tt.is == child.ErrRefused) {
				t.Errorf("Send = %v, want it to be %v", err, tt.is)
			}
			if _, n := d.Requests(); n > 0 != tt.sent {
				t.Errorf("%d blocks were sent, want some: %v", n, tt.sent)
			}
			if state, inDFU := d.State(); inDFU && state != wire.Idle && !errors.Is(err, child.ErrAway) {
				t.Errorf("it is left in %v, want dfuIDLE", state)
			}
		})
	}
}

// TestAgain: after each failure but a lost device the next Send works.
func TestAgain(t *testing.T) {
	for _, change := range []func(*dfutest.Device){
		func(d *dfutest.Device) { d.FailAt, d.FailCode = 3, wire.ErrProg },
		func(d *dfutest.Device) { d.StallAt = 3 },
	} {
		d := gadget(change)
		c := on(t, d, nil)
		if err := c.Send(t.Context(), image, nil); err == nil {
			t.Fatal("the fault did not show")
		}
		check(t, c.Send(t.Context(), image, nil))
		if got, _ := d.Image(); !bytes.Equal(got, image.Bytes) {
			t.Errorf("%d bytes arrived, want %d", len(got), len(image.Bytes))
		}
	}
}

// TestCanceled: what is canceled midway is begun anew.
func TestCanceled(t *testing.T) {
	d := gadget(nil)
	c := on(t, d, nil)
	ctx, cancel := context.WithCancel(t.Context())
	d.Poll = 20
	d.Erase = time.Minute
	time.AfterFunc(100*time.Millisecond, cancel)
	if err := c.Send(ctx, image, nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("Send = %v", err)
	}
	d = gadget(nil)
	ctx, cancel = context.WithCancel(t.Context())
	c = on(t, d, nil)
	if err := c.Send(ctx, image, func(n int64) {
		if n > 1000 {
			cancel()
		}
	}); !errors.Is(err, context.Canceled) {
		t.Fatalf("Send = %v", err)
	}
	if state, _ := d.State(); state != wire.Idle {
		t.Errorf("it is left in %v, want dfuIDLE", state)
	}
	check(t, c.Send(t.Context(), image, nil))
}

// TestRunsAlready: what runs is not sent over its own fallback.
func TestRunsAlready(t *testing.T) {
	d := gadget(func(d *dfutest.Device) { d.Version = "2.0.0" })
	var told int64
	check(t, on(t, d, nil).Send(t.Context(), image, func(n int64) { told = n }))
	if all, _ := d.Requests(); all > 0 || told != int64(len(image.Bytes)) {
		t.Errorf("%d requests, %d bytes told", all, told)
	}
}

func TestSuffix(t *testing.T) {
	for _, tt := range []struct {
		name  string
		s     wire.Suffix
		spoil bool
		want  string
	}{
		{"for this one", wire.Suffix{Release: wire.Any, Product: 0x0100, Vendor: 0x2fe3, Version: wire.Version10}, false, ""},
		{"for any", wire.Suffix{Release: wire.Any, Product: wire.Any, Vendor: wire.Any, Version: wire.Version10}, false, ""},
		{"another vendor", wire.Suffix{Release: wire.Any, Product: wire.Any, Vendor: 0x0483, Version: wire.Version10}, false, "0483:ffff"},
		{"another product", wire.Suffix{Release: wire.Any, Product: 0xdf11, Vendor: 0x2fe3, Version: wire.Version10}, false, "2fe3:df11"},
		{"damaged", wire.Suffix{Release: wire.Any, Product: 0x0100, Vendor: 0x2fe3, Version: wire.Version10}, true, "damaged"},
	} {
		d := gadget(nil)
		file := image
		file.Bytes = wire.AppendSuffix(bytes.Clone(image.Bytes), tt.s)
		if tt.spoil {
			file.Bytes[77] ^= 1
		}
		err := on(t, d, nil).Send(t.Context(), file, nil)
		got, _ := d.Image()
		all, _ := d.Requests()
		switch {
		case tt.want == "" && (err != nil || !bytes.Equal(got, image.Bytes)):
			t.Errorf("%s: %v, %d bytes arrived", tt.name, err, len(got))
		case tt.want != "" && (!errors.Is(err, child.ErrRefused) || !strings.Contains(err.Error(), tt.want) || all > 0):
			t.Errorf("%s: %v after %d requests, want it refused: %s", tt.name, err, all, tt.want)
		}
	}
}
