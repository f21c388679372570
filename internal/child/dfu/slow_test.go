package dfu_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moult-ota/moult/internal/child"
	"github.com/moult-ota/moult/internal/child/dfu"
	"github.com/moult-ota/moult/internal/child/dfu/dfutest"
)

// TestSlowErase: without options an erase may take what large slots take, also
// when the device asks to be polled every 8 ms; not for ever.
func TestSlowErase(t *testing.T) {
	for _, tt := range []struct {
		erase time.Duration
		poll  uint32
		fails bool
	}{
		{35 * time.Second, 8, false},
		{35 * time.Second, 40_000, false},
		{119 * time.Second, 0, false},
		{121 * time.Second, 8, true},
		{time.Hour, 1 << 23, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := gadget(func(d *dfutest.Device) { d.Erase, d.Poll = tt.erase, tt.poll })
			bus := &dfutest.Bus{}
			bus.Plug("1-1", d)
			c, err := dfu.New(dfu.Options{Match: dfu.Match{Vendor: 0x2fe3}, Bus: bus})
			check(t, err)
			began := time.Now()
			err = c.Send(t.Context(), image, nil)
			if tt.fails != errors.Is(err, child.ErrAway) || !tt.fails && err != nil {
				t.Errorf("erase of %v, polled every %d ms: %v", tt.erase, tt.poll, err)
			}
			if took := time.Since(began); tt.fails && took > 3*time.Minute {
				t.Errorf("it was given up after %v", took)
			}
			if tt.fails && !strings.Contains(err.Error(), "block 0") {
				t.Errorf("Send = %v, want it to say at which block", err)
			}
		})
	}
}
