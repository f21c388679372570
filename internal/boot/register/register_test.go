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
