package flash_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"

	"github.com/moult-ota/moult/internal/virtualmcu/flash"
)

var geometry = flash.Geometry{Sector: 64, Unit: 8, Sectors: 4}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func blank(t *testing.T) *flash.Flash {
	t.Helper()
	f, err := flash.New(geometry)
	check(t, err)
	return f
}

func read(t *testing.T, f *flash.Flash, off int64, n int) []byte {
	t.Helper()
	p := make([]byte, n)
	_, err := f.ReadAt(p, off)
	check(t, err)
	return p
}

func TestProgram(t *testing.T) {
	ones := bytes.Repeat([]byte{0xff}, 8)
	for name, tt := range map[string]struct {
		p    []byte
		off  int64
		fits bool
		want error
	}{
		"an erased unit":         {p: make([]byte, 8), off: 64, fits: true},
		"two units":              {p: make([]byte, 16), off: 64, fits: true},
		"a unit again":           {p: make([]byte, 8), off: 0, want: flash.ErrUnit},
		"ones change nothing":    {p: ones, off: 0, fits: true},
		"half a unit":            {p: make([]byte, 4), off: 64},
		"across units":           {p: make([]byte, 8), off: 68},
		"past the end":           {p: make([]byte, 16), off: 248},
		"before the start":       {p: make([]byte, 8), off: -8},
		"second of two is taken": {p: make([]byte, 16), off: 24, want: flash.ErrUnit},
	} {
		f := blank(t)
		check(t, f.Program([]byte("01234567"), 0))
		check(t, f.Program([]byte("01234567"), 32))
		err := f.Program(tt.p, tt.off)
		if (err == nil) != tt.fits || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: Program(%d bytes, %d) = %v", name, len(tt.p), tt.off, err)
		}
		if got := read(t, f, 0, 8); string(got) != "01234567" {
			t.Errorf("%s: unit 0 is %q", name, got)
		}
	}
}

func TestErase(t *testing.T) {
	f := blank(t)
	for off := int64(0); off < int64(f.Size()); off += 8 {
		check(t, f.Program(make([]byte, 8), off))
	}
	check(t, f.Erase(1))
	for i, b := range read(t, f, 0, f.Size()) {
		if want := i/64 == 1; (b == flash.Erased) != want {
			t.Fatalf("byte %d is %#x", i, b)
		}
	}
	if f.Erase(4) == nil || f.Erase(-1) == nil {
		t.Error("a sector outside was erased")
	}
}

func TestCut(t *testing.T) {
	f := blank(t)
	check(t, f.Program(make([]byte, 8), 0))
	f.CutAt(flash.Cut{At: 2})
	check(t, f.Program(make([]byte, 8), 8))
	if err := f.Program(make([]byte, 8), 16); !errors.Is(err, flash.ErrPower) {
		t.Errorf("Program at the cut = %v", err)
	}
	if err := f.Erase(0); !errors.Is(err, flash.ErrPower) || !f.Dead() {
		t.Errorf("Erase after the cut = %v", err)
	}
	if _, err := f.ReadAt(make([]byte, 1), 0); !errors.Is(err, flash.ErrPower) {
		t.Errorf("ReadAt after the cut = %v", err)
	}
	f.On()
	if got := read(t, f, 0, 24); !flash.Blank(got[16:]) || flash.Blank(got[8:16]) || f.Operations() != 3 {
		t.Errorf("%x after %d operations", got, f.Operations())
	}
}

// TestTorn: a torn operation leaves neither the old nor the new, for some
// seed, and never sets a bit by programming or clears one by erasing.
func TestTorn(t *testing.T) {
	halves := 0
	for seed := range uint64(50) {
		f := blank(t)
		f.CutAt(flash.Cut{At: 1, Torn: true, Seed: seed})
		if err := f.Program(make([]byte, 64), 0); !errors.Is(err, flash.ErrPower) {
			t.Fatal(err)
		}
		f.On()
		if p := read(t, f, 0, 64); !flash.Blank(p) && !bytes.Equal(p, make([]byte, 64)) {
			halves++
		}
		if p := read(t, f, 64, 192); !flash.Blank(p) {
			t.Fatalf("seed %d: other sectors changed", seed)
		}
	}
	if halves < 30 {
		t.Errorf("%d of 50 were torn", halves)
	}
}

func TestOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flash.bin")
	f, err := flash.Open(path, geometry)
	check(t, err)
	check(t, f.Program([]byte("12345678"), 8))
	check(t, f.Close())
	f, err = flash.Open(path, geometry)
	check(t, err)
	defer f.Close()
	if got := read(t, f, 0, 24); string(got[8:16]) != "12345678" || !flash.Blank(got[:8]) {
		t.Errorf("%q", got)
	}
	other := geometry
	other.Sectors++
	if _, err := flash.Open(path, other); err == nil {
		t.Error("a file of another size was opened")
	}
	if _, err := flash.New(flash.Geometry{Sector: 10, Unit: 8, Sectors: 1}); err == nil {
		t.Error("a sector of one and a quarter units was made")
	}
}
