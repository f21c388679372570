package loader_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/moult-ota/moult/internal/virtualmcu/flash"
	"github.com/moult-ota/moult/internal/virtualmcu/loader"
	"github.com/moult-ota/moult/mcuboot"
)

var seeds = flag.Int("seeds", 3, "ways to tear each operation in the power-cut suite")

// chips differ in what is erased and programmed at once.
var chips = map[string]flash.Geometry{
	"FRDM-K64F, sectors of 4096, phrases of 8": {Sector: 4096, Unit: 8, Sectors: 3 + 2*5},
	"sectors of 512, phrases of 8":             {Sector: 512, Unit: 8, Sectors: 3 + 2*8},
	"sectors of 1024, flash words of 32":       {Sector: 1024, Unit: 32, Sectors: 3 + 2*6},
	"sectors of 256, single bytes":             {Sector: 256, Unit: 1, Sectors: 3 + 2*6},
}

// A host does on a board what a gateway does: it sends an image, has it tried,
// and confirms it or not. It remembers nothing but that the trial began.
type host struct {
	*loader.Loader
	old, next []byte
	confirm   bool

	tried bool // the new image was seen running
	boots int
	cuts  int
}

var errMixed = errors.New("what starts is neither the old image nor the new one")

// mostBoots bounds what one deployment takes, with its cuts.
const mostBoots = 60

// deploy works until the device is where it shall be, over any power cuts.
func (h *host) deploy(again func()) error {
	for h.boots = 1; h.boots <= mostBoots; h.boots++ {
		done, err := h.boot()
		switch {
		case errors.Is(err, flash.ErrPower):
			h.cuts++
			h.Flash.On()
			again()
		case err != nil:
			return fmt.Errorf("boot %d: %w", h.boots, err)
		case done:
			return h.stays()
		}
	}
	return fmt.Errorf("not done after %d boots", mostBoots)
}

// stays looks whether the end is one: nothing changes at the next boot.
func (h *host) stays() error {
	h.Flash.CutAt(flash.Cut{})
	before := h.Flash.Operations()
	done, err := h.boot()
	if err == nil && (!done || h.Flash.Operations() != before) {
		err = errors.New("the boot after the end changed something")
	}
	return err
}

func (h *host) boot() (done bool, err error) {
	im, err := h.Boot()
	if err != nil {
		return false, err
	}
	runs := make([]byte, im.Size())
	if _, err := h.Flash.ReadAt(runs, h.Offset(0)); err != nil {
		return false, err
	}
	next, err := h.Next()
	if err != nil {
		return false, err
	}
	switch {
	case bytes.Equal(runs, h.next) && h.confirm:
		return true, h.Confirm()
	case bytes.Equal(runs, h.next):
		h.tried = true
		return false, nil // the next boot reverts
	case !bytes.Equal(runs, h.old):
		return false, errMixed
	case next != mcuboot.SwapNone:
		return false, fmt.Errorf("the old image runs, and the next boot would be %v", next)
	case h.tried:
		return true, nil
	}
	return false, h.send()
}

// send uploads the new image and has it tried at the next reset.
func (h *host) send() error {
	if err := h.Erase(1); err != nil {
		return err
	}
	padded := append(bytes.Clone(h.next), bytes.Repeat([]byte{0xff}, -len(h.next)&(h.Unit-1))...)
	for off := 0; off < len(padded); off += 256 {
		if err := h.Flash.Program(padded[off:min(off+256, len(padded))], h.Offset(1)+int64(off)); err != nil {
			return err
		}
	}
	err := h.SetPending(false)
	if errors.Is(err, loader.ErrTrailer) {
		return nil // sent again after the next boot
	}
	return err
}

func key() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32)) }

func public(t *testing.T) mcuboot.PublicKey {
	t.Helper()
	k, err := mcuboot.NewPublicKey(key().Public())
	check(t, err)
	return k
}

// image is one of about size bytes.
func image(t *testing.T, version uint8, size int) []byte {
	t.Helper()
	payload := make([]byte, size)
	rng := rand.New(rand.NewPCG(uint64(version), uint64(size)))
	for i := range payload {
		payload[i] = byte(rng.Uint32())
	}
	p, err := mcuboot.Sign(nil, mcuboot.Spec{Payload: payload, Version: mcuboot.Version{Major: version}, Key: key()})
	check(t, err)
	return p
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// board is a device that runs version 1.
func board(t *testing.T, g flash.Geometry, old []byte) *loader.Loader {
	t.Helper()
	f, err := flash.New(g)
	check(t, err)
	l, err := loader.New(f, public(t))
	check(t, err)
	padded := append(bytes.Clone(old), bytes.Repeat([]byte{0xff}, -len(old)&(g.Unit-1))...)
	check(t, f.Program(padded, 0))
	return l
}

// on returns the same board with other flash.
func on(l *loader.Loader, f *flash.Flash) *loader.Loader {
	c := *l
	c.Flash = f
	return &c
}

// TestPowerCut deploys with the power cut at each flash operation in turn, not
// done or half done, and once more somewhere while the device recovers.
func TestPowerCut(t *testing.T) {
	for name, g := range chips {
		for _, confirm := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, confirm %v", name, confirm), func(t *testing.T) {
				t.Parallel()
				most := g.Sector * ((g.Sectors-3)/2 - 1)
				sizes := [][2]int{{most / 2, most - 300}, {most - 400, most / 3}}
				for _, size := range sizes {
					sweep(t, g, size, confirm)
				}
			})
		}
	}
}

func sweep(t *testing.T, g flash.Geometry, size [2]int, confirm bool) {
	old, next := image(t, 1, size[0]), image(t, 2, size[1])
	blank := board(t, g, old)
	run := func(arm func(*flash.Flash), again func(*flash.Flash)) (*host, error) {
		h := &host{Loader: on(blank, blank.Flash.Clone()), old: old, next: next, confirm: confirm}
		arm(h.Flash)
		err := h.deploy(func() { again(h.Flash) })
		return h, err
	}
	none := func(*flash.Flash) {}
	clean, err := run(none, none)
	check(t, err)
	total, cuts, runs := clean.Flash.Operations(), 0, 0
	for at := 1; at <= total; at++ {
		for seed := range *seeds + 1 {
			rng := rand.New(rand.NewPCG(uint64(at), uint64(seed)))
			second := none
			if seed > 1 {
				second = func(f *flash.Flash) {
					if rng.IntN(3) > 0 {
						f.CutAt(flash.Cut{At: 1 + rng.IntN(total), Torn: true, Seed: rng.Uint64()})
					}
				}
			}
			cut := flash.Cut{At: at, Torn: seed > 0, Seed: uint64(seed)}
			h, err := run(func(f *flash.Flash) { f.CutAt(cut) }, second)
			if err != nil {
				t.Errorf("%v, images of %v: cut at operation %d of %d, torn %v, seed %d: %v", g, size, at, total, cut.Torn, seed, err)
				return
			}
			runs, cuts = runs+1, cuts+h.cuts
		}
	}
	t.Logf("%d operations, %d deployments, %d cuts: old or new ran whole, and in the end the right one", total, runs, cuts)
}
