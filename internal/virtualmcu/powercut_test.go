package virtualmcu_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/moult-ota/moult/internal/virtualmcu"
	"github.com/moult-ota/moult/internal/virtualmcu/flash"
	"github.com/moult-ota/moult/mcuboot"
)

// TestPowerCutOverDFU cuts the power at each flash operation of a deployment
// over USB, of an image that confirms itself and of one that nobody confirms.
func TestPowerCutOverDFU(t *testing.T) {
	for _, stack := range []virtualmcu.Stack{virtualmcu.StackLegacy, virtualmcu.StackNext} {
		for _, confirm := range []virtualmcu.Confirm{virtualmcu.ConfirmSelf, virtualmcu.ConfirmHost} {
			sweepDFU(t, stack, image(t, 2, virtualmcu.Habits{Confirm: confirm}), confirm == virtualmcu.ConfirmSelf)
		}
	}
}

func sweepDFU(t *testing.T, stack virtualmcu.Stack, next []byte, confirms bool) {
	t.Helper()
	chosen := func(o *virtualmcu.Options) { o.Stack, o.NoReboot = stack, true }
	clean := board(t, chosen)
	before := clean.Operations()
	check(t, deployDFU(t, clean, next, confirms))
	total, cuts := clean.Operations()-before, 0
	for at := 1; at <= total; at++ {
		for seed := range uint64(2) {
			d := board(t, chosen)
			d.CutAt(flash.Cut{At: at, Torn: seed > 0, Seed: seed})
			if err := deployDFU(t, d, next, confirms); err != nil {
				t.Fatalf("%v, confirms %v: cut at %d of %d, torn %v: %v", stack, confirms, at, total, seed > 0, err)
			}
			cuts += d.Cuts()
		}
	}
	if cuts != 2*total {
		t.Errorf("%d cuts, want %d", cuts, 2*total)
	}
	t.Logf("%v, confirms %v: %d operations, %d cuts", stack, confirms, total, cuts)
}

var errOther = errors.New("slot 0 holds neither image")

// deployDFU does as a gateway does: it downloads until the image ran.
func deployDFU(t *testing.T, d *virtualmcu.Device, next []byte, confirms bool) error {
	t.Helper()
	old := image(t, 1, virtualmcu.Habits{})
	ran := false
	for range 20 {
		d.Power(true)
		slots, swap := d.Slots()
		hash := slots[0].Image.Hash()
		switch v, answers := d.Running(); {
		case !answers && d.On():
			return errors.New("nothing runs")
		case !answers: // the power was cut while it booted
		case !bytes.Equal(hash, hashOf(t, next)) && v != version(1), v == version(1) && !bytes.Equal(hash, hashOf(t, old)):
			return errOther
		case v == version(2) && swap == mcuboot.SwapNone, v == version(1) && ran && !confirms:
			return nil
		case v == version(2):
			ran = true
			d.Reset()
		default:
			tryDFU(t, d, next)
			d.Reset()
			now, _ := d.Running()
			ran = now == version(2)
		}
	}
	return errors.New("not done after 20 boots")
}

// tryDFU downloads once; a cut ends it.
func tryDFU(t *testing.T, d *virtualmcu.Device, next []byte) {
	t.Helper()
	h := enterDFU(t, d)
	if err := h.download(next, 128); err != nil && !errors.Is(err, virtualmcu.ErrGone) {
		t.Fatalf("download: %v", err)
	}
}
