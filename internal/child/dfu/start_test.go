package dfu_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/moult-ota/moult/internal/child/dfu"
	"github.com/moult-ota/moult/internal/child/dfu/dfutest"
	wire "github.com/moult-ota/moult/internal/wire/dfu"
)

// TestFoundSo: a device is taken as others have left it.
func TestFoundSo(t *testing.T) {
	for _, tt := range []struct {
		state   wire.State
		request wire.Request
	}{{wire.Error, wire.Upload}, {wire.DownloadSync, wire.Download}, {wire.Idle, wire.GetState}} {
		d := gadget(nil).Start(true)
		_, _ = d.Control(wire.TypeOut, uint8(tt.request), 0, 0, []byte{1})
		if state, _ := d.State(); state != tt.state {
			t.Fatalf("it is in %v, want %v", state, tt.state)
		}
		check(t, on(t, d, nil).Send(t.Context(), image, nil))
		if got, _ := d.Image(); !bytes.Equal(got, image.Bytes) {
			t.Errorf("found in %v: %d bytes arrived, want %d", tt.state, len(got), len(image.Bytes))
		}
	}
}

// TestOtherSerial: a boot loader may have another serial number than the
// application; its port is enough.
func TestOtherSerial(t *testing.T) {
	c := on(t, gadget(nil).Start(true), func(o *dfu.Options) { o.Match.Serial = "of the application" })
	check(t, c.Send(t.Context(), image, nil))
}

// TestInUse: an application whose interface another program has is left alone.
func TestInUse(t *testing.T) {
	d := gadget(nil)
	bus := &dfutest.Bus{}
	bus.Plug("1-1", d)
	all, err := bus.Devices()
	check(t, err)
	other, err := bus.Open(all[0])
	check(t, err)
	check(t, other.Claim(0))
	c, err := dfu.New(dfu.Options{Match: dfu.Match{Vendor: 0x2fe3}, Bus: bus})
	check(t, err)
	if err := c.Send(t.Context(), image, nil); err == nil || !strings.Contains(err.Error(), "another program") {
		t.Errorf("Send = %v", err)
	}
	if all, _ := d.Requests(); all > 0 {
		t.Errorf("%d requests", all)
	}
}
