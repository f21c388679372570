package register_test

import (
	"errors"
	"testing"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/boot/boottest"
	"github.com/moult-ota/moult/internal/boot/register"
	"github.com/moult-ota/moult/internal/slot"
)

// worn is flash of which some cells no longer take what is programmed.
type worn struct {
	*boottest.NOR
	dead func(cell int) bool
}

func (w worn) Program(p []byte, off int64) error {
	if w.dead(int(off / register.CellSize)) {
		return nil
	}
	return w.NOR.Program(p, off)
}

func blank(sector, unit int) *boottest.NOR {
	return boottest.NewNOR(sector, unit).Clone(boottest.NewPower(nil)).(*boottest.NOR)
}

// TestWornFlash fails when Save says that a state is kept which is not.
func TestWornFlash(t *testing.T) {
	const cells = 16
	tests := []struct {
		name string
		dead func(int) bool
		want error
	}{
		{"all cells hold", func(int) bool { return false }, nil},
		{"one dead cell in three", func(c int) bool { return c%3 == 1 }, nil},
		{"a sector that is half dead", func(c int) bool { return c < cells/2 }, nil},
		{"no cell holds", func(int) bool { return true }, register.ErrWorn},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := worn{blank(cells*register.CellSize, 8), tt.dead}
			r := open(t, f)
			for n := range uint32(30) {
				v := boot.First(slot.A, boot.Image{Security: n}, n)
				if err := r.Save(v); !errors.Is(err, tt.want) {
					t.Fatalf("Save %d = %v, want %v", n, err, tt.want)
				}
				if got, err := r.Load(); tt.want == nil && (err != nil || got != v) {
					t.Fatalf("Load %d = %+v, %v, want %+v", n, got, err, v)
				}
			}
		})
	}
}

func open(t *testing.T, f register.Flash) *register.Register {
	t.Helper()
	r, err := register.Open(f)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestPairNamesItsPlace fails when two records of different cuts count as a
// pair: then a state in doubt would not be written again.
func TestPairNamesItsPlace(t *testing.T) {
	for _, first := range [][2]uint16{{0, 1}, {1, 1}} {
		f := blank(8*register.CellSize, 8)
		cells := register.AppendRecord(nil, register.Record{Vars: sample.Vars, First: first[0]})
		cells = register.AppendRecord(cells, register.Record{Vars: sample.Vars, First: first[1]})
		if err := f.Program(cells, 0); err != nil {
			t.Fatal(err)
		}
		if v, err := open(t, f).Load(); v != sample.Vars || err != nil {
			t.Fatalf("Load = %+v, %v, want %+v", v, err, sample.Vars)
		}
		third := make([]byte, register.CellSize)
		if _, err := f.ReadAt(third, 2*register.CellSize); err != nil {
			t.Fatal(err)
		}
		if r, _, err := register.ParseRecord(third); err != nil || r.Vars != sample.Vars {
			t.Errorf("pair at %v: cell 2 after Load = %+v, %v, want the state again", first, r, err)
		}
	}
}

// TestGenerationWraps fails when a register forgets after 2^32 sector changes.
func TestGenerationWraps(t *testing.T) {
	f := blank(8*register.CellSize, 8)
	rec := register.Record{Vars: sample.Vars, Generation: 1<<32 - 1}
	cells := register.AppendRecord(nil, rec)
	if err := f.Program(append(cells, cells...), 0); err != nil {
		t.Fatal(err)
	}
	r, v := open(t, f), sample.Vars
	for v.Deployment = range uint32(20) {
		if err := r.Save(v); err != nil {
			t.Fatal(err)
		}
		if got, err := r.Load(); got != v || err != nil {
			t.Fatalf("Load = %+v, %v, want %+v", got, err, v)
		}
	}
}

// gone is flash that does not answer.
type gone struct{ *boottest.NOR }

func (gone) ReadAt([]byte, int64) (int, error) { return 0, errors.New("no answer") }

// TestUnreadable fails when a register that cannot be read is erased.
func TestUnreadable(t *testing.T) {
	f := blank(8*register.CellSize, 8)
	if err := open(t, f).Save(sample.Vars); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, gone{f}).Load(); !errors.Is(err, register.ErrUnreadable) {
		t.Errorf("Load = %v, want %v", err, register.ErrUnreadable)
	}
	if v, err := open(t, f).Load(); v != sample.Vars || err != nil {
		t.Errorf("Load when it answers again = %+v, %v, want %+v", v, err, sample.Vars)
	}
}

// TestSteadyStateWritesNothing fails when boots or repeated saves wear the flash.
func TestSteadyStateWritesNothing(t *testing.T) {
	power := boottest.NewPower(nil)
	r := open(t, boottest.NewNOR(8*register.CellSize, 8).Clone(power).(*boottest.NOR))
	if err := r.Save(sample.Vars); err != nil {
		t.Fatal(err)
	}
	power.Restore(0, 0)
	for range 10 {
		if _, err := r.Load(); err != nil {
			t.Fatal(err)
		}
		if err := r.Save(sample.Vars); err != nil {
			t.Fatal(err)
		}
	}
	if power.Ops != 0 {
		t.Errorf("%d flash operations in steady state, want 0", power.Ops)
	}
}

// TestOpenRefuses fails when a flash is taken that cannot hold a register.
func TestOpenRefuses(t *testing.T) {
	for _, g := range []struct{ sector, unit int }{{0, 8}, {100, 8}, {128, 8}, {192, 64}, {1 << 23, 1}} {
		if _, err := register.Open(boottest.NewNOR(g.sector, g.unit)); err == nil {
			t.Errorf("Open of sectors of %d bytes in units of %d = nil, want an error", g.sector, g.unit)
		}
	}
}
