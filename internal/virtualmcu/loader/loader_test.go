package loader_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"testing"

	"github.com/moult-ota/moult/internal/virtualmcu/flash"
	"github.com/moult-ota/moult/internal/virtualmcu/loader"
	"github.com/moult-ota/moult/mcuboot"
)

var small = flash.Geometry{Sector: 512, Unit: 8, Sectors: 3 + 2*6}

// send puts an image into the secondary slot and has it started.
func send(t *testing.T, l *loader.Loader, im []byte, permanent bool) {
	t.Helper()
	h := &host{Loader: l, next: im}
	if permanent {
		check(t, l.Erase(1))
		check(t, l.Flash.Program(append(bytes.Clone(im), bytes.Repeat([]byte{0xff}, -len(im)&7)...), l.Offset(1)))
		check(t, l.SetPending(true))
		return
	}
	check(t, h.send())
}

// boots boots once and wants the version to start, with this swap next.
func boots(t *testing.T, l *loader.Loader, version uint8, next mcuboot.Swap) {
	t.Helper()
	im, err := l.Boot()
	check(t, err)
	swap, err := l.Next()
	check(t, err)
	if im.Header.Version.Major != version || swap != next {
		t.Fatalf("version %v boots, then %v; want %d, then %v", im.Header.Version, swap, version, next)
	}
}

func TestTestAndRevert(t *testing.T) {
	l := board(t, small, image(t, 1, 900))
	boots(t, l, 1, mcuboot.SwapNone)
	send(t, l, image(t, 2, 1500), false)
	boots(t, l, 2, mcuboot.SwapRevert)
	boots(t, l, 1, mcuboot.SwapNone)
	boots(t, l, 1, mcuboot.SwapNone)
	send(t, l, image(t, 2, 1500), false)
	boots(t, l, 2, mcuboot.SwapRevert)
	check(t, l.Confirm())
	boots(t, l, 2, mcuboot.SwapNone)
}

func TestPermanent(t *testing.T) {
	l := board(t, small, image(t, 1, 900))
	send(t, l, image(t, 2, 1500), true)
	boots(t, l, 2, mcuboot.SwapNone)
	boots(t, l, 2, mcuboot.SwapNone)
}

// TestRefused: what may not start is erased, and the old image goes on.
func TestRefused(t *testing.T) {
	counter := func(n uint32) *uint32 { return &n }
	stranger := ed25519.NewKeyFromSeed(make([]byte, 32))
	signed := func(s mcuboot.Spec) []byte {
		s.Payload = make([]byte, 600)
		p, err := mcuboot.Sign(nil, s)
		check(t, err)
		return p
	}
	broken := image(t, 2, 600)
	broken[100] ^= 1
	v := func(n uint8) mcuboot.Version { return mcuboot.Version{Major: n} }
	for name, tt := range map[string]struct {
		next  []byte
		guard mcuboot.Guard
		class []byte
		want  uint8
	}{
		"one byte changed":          {next: broken, want: 1},
		"not an image":              {next: []byte("hello, this is no image at all...."), want: 1},
		"another's key":             {next: signed(mcuboot.Spec{Version: v(2), Key: stranger}), want: 1},
		"not bootable":              {next: signed(mcuboot.Spec{Version: v(2), Key: key(), Flags: mcuboot.FlagNonBootable}), want: 1},
		"older, and that is fine":   {next: signed(mcuboot.Spec{Key: key()}), want: 0},
		"older, which is not":       {next: signed(mcuboot.Spec{Key: key()}), guard: mcuboot.Guard{Newer: true}, want: 1},
		"as old":                    {next: signed(mcuboot.Spec{Version: v(1), Key: key()}), guard: mcuboot.Guard{Newer: true}, want: 1},
		"counter below the floor":   {next: signed(mcuboot.Spec{Version: v(2), Key: key(), Counter: counter(3)}), guard: mcuboot.Guard{Floor: counter(4)}, want: 1},
		"counter at the floor":      {next: signed(mcuboot.Spec{Version: v(2), Key: key(), Counter: counter(4)}), guard: mcuboot.Guard{Floor: counter(4)}, want: 2},
		"for another class":         {next: signed(mcuboot.Spec{Version: v(2), Key: key(), ClassID: make([]byte, 16)}), class: bytes.Repeat([]byte{1}, 16), want: 1},
		"for no class":              {next: signed(mcuboot.Spec{Version: v(2), Key: key()}), class: bytes.Repeat([]byte{1}, 16), want: 1},
		"for this class":            {next: signed(mcuboot.Spec{Version: v(2), Key: key(), ClassID: bytes.Repeat([]byte{1}, 16)}), class: bytes.Repeat([]byte{1}, 16), want: 2},
		"newer, and that is wanted": {next: signed(mcuboot.Spec{Version: v(2), Key: key()}), guard: mcuboot.Guard{Newer: true}, want: 2},
	} {
		l := board(t, small, image(t, 1, 900))
		if tt.class != nil {
			first, err := mcuboot.Sign(nil, mcuboot.Spec{Payload: make([]byte, 900), Version: v(1), Key: key(), ClassID: tt.class})
			check(t, err)
			l = board(t, small, first)
		}
		l.Guard, l.ClassID = tt.guard, tt.class
		send(t, l, tt.next, false)
		im, err := l.Boot()
		check(t, err)
		_, there := l.Image(1)
		if got := im.Header.Version.Major; got != tt.want {
			t.Errorf("%s: version %d boots, want %d", name, got, tt.want)
		}
		trailer, err := l.Trailer(1)
		check(t, err)
		if refused := tt.want == 1 && name != "as old"; refused && (there == nil || trailer.Magic != mcuboot.Unset) {
			t.Errorf("%s: slot 1 is not erased", name)
		}
	}
}

// TestNoWayBack: when what would be reverted to is broken, the image on trial
// stays instead of nothing.
func TestNoWayBack(t *testing.T) {
	l := board(t, small, image(t, 1, 900))
	send(t, l, image(t, 2, 1500), false)
	boots(t, l, 2, mcuboot.SwapRevert)
	check(t, l.Flash.Erase(6))
	boots(t, l, 2, mcuboot.SwapNone)
}

// TestBrick: MCUboot starts nothing when the primary slot is broken, not even
// what lies beside it.
func TestBrick(t *testing.T) {
	broken := image(t, 1, 900)
	broken[100] ^= 1
	l := board(t, small, broken)
	send(t, l, []byte("no image"), false)
	if _, err := l.Boot(); !errors.Is(err, loader.ErrNothing) {
		t.Errorf("Boot() = %v, want %v", err, loader.ErrNothing)
	}
	l.Trust = true
	boots(t, l, 1, mcuboot.SwapNone) // its form is in order
}

// TestTornTrailer: a trailer that was begun is not a request; asking again
// erases the slot, as Zephyr does.
func TestTornTrailer(t *testing.T) {
	l := board(t, small, image(t, 1, 900))
	check(t, l.Erase(1))
	end := l.Offset(1) + int64(l.SlotSize())
	check(t, l.Flash.Program([]byte{0x77, 0xc2, 0x95, 0xf3, 0x60, 0xd2, 0xef, 0x7f}, end-16))
	boots(t, l, 1, mcuboot.SwapNone)
	if err := l.SetPending(false); !errors.Is(err, loader.ErrTrailer) {
		t.Errorf("SetPending() = %v, want %v", err, loader.ErrTrailer)
	}
	check(t, l.SetPending(false))
}

// TestLoses: with Loses, and only then, a torn copy done makes the image on
// trial stay, as MCUboot's does.
func TestLoses(t *testing.T) {
	for _, loses := range []bool{false, true} {
		l := board(t, small, image(t, 1, 900))
		l.Loses = loses
		send(t, l, image(t, 2, 1500), false)
		counted := on(l, l.Flash.Clone())
		boots(t, counted, 2, mcuboot.SwapRevert)
		lost, all := 0, 0
		for at := 1; at <= counted.Flash.Operations(); at++ {
			for seed := range uint64(8) {
				c := on(l, l.Flash.Clone())
				c.Flash.CutAt(flash.Cut{At: at, Torn: true, Seed: seed})
				_, err := c.Boot()
				if !errors.Is(err, flash.ErrPower) {
					t.Fatalf("Boot() with a cut = %v", err)
				}
				c.Flash.On()
				im, err := c.Boot()
				check(t, err)
				next, err := c.Next()
				check(t, err)
				// A cut at the very end may have been the trial: then 1 boots.
				if all++; im.Header.Version.Major == 2 && next == mcuboot.SwapNone {
					lost++
				}
			}
		}
		if (lost > 0) != loses || lost > 8 {
			t.Errorf("Loses %v: %d of %d cuts lost the revert", loses, lost, all)
		}
	}
}

func TestSplit(t *testing.T) {
	for name, tt := range map[string]struct {
		g    flash.Geometry
		fits bool
	}{
		"FRDM-K64F":                     {flash.Geometry{Sector: 4096, Unit: 8, Sectors: 3 + 2*96}, true},
		"slots of more than 128":        {flash.Geometry{Sector: 4096, Unit: 8, Sectors: 3 + 2*129}, false},
		"no room for status":            {flash.Geometry{Sector: 1024, Unit: 32, Sectors: 3 + 2*32}, false},
		"no room for two slots":         {flash.Geometry{Sector: 4096, Unit: 8, Sectors: 6}, false},
		"a unit MCUboot has no word of": {flash.Geometry{Sector: 4096, Unit: 64, Sectors: 13}, false},
	} {
		if _, err := loader.Split(tt.g); (err == nil) != tt.fits {
			t.Errorf("%s: Split() = %v", name, err)
		}
	}
}
