package loader

import (
	"slices"
	"testing"

	"github.com/moult-ota/moult/internal/virtualmcu/flash"
	"github.com/moult-ota/moult/mcuboot"
)

// TestTornHeader: a header of which any bit is missing is none.
func TestTornHeader(t *testing.T) {
	f, err := flash.New(flash.Geometry{Sector: 256, Unit: 8, Sectors: 15})
	if err != nil {
		t.Fatal(err)
	}
	l, err := New(f)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.begin(status{}, mcuboot.SwapTest, 3); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 256)
	if _, err := f.ReadAt(p, int64(l.status(1)*256)); err != nil {
		t.Fatal(err)
	}
	if got, ok := parseStatus(p, 8); !ok || got.swap != mcuboot.SwapTest || got.sectors != 3 || got.done != 0 {
		t.Errorf("parseStatus() = %+v, %v", got, ok)
	}
	for bit := range 8 * statusHeader {
		q := slices.Clone(p)
		q[bit/8] ^= 1 << (bit % 8)
		if got, ok := parseStatus(q, 8); ok {
			t.Errorf("without bit %d: %+v", bit, got)
		}
	}
}
