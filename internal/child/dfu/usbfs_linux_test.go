package dfu

import (
	"testing"
	"unsafe"
)

// TestCodes has the numbers of <linux/usbdevice_fs.h>, for computers of either
// width. Those of 32 bits have a smaller struct.
func TestCodes(t *testing.T) {
	want := codes{control: 0xc0185500, setting: 0x80085504, claim: 0x8004550f, reset: 0x5514}
	if unsafe.Sizeof(uintptr(0)) == 4 {
		want.control = 0xc0105500
	}
	if got := codesOf(directions("arm")); got != want {
		t.Errorf("codes %#x, want %#x", got, want)
	}
	want = codes{control: want.control, setting: 0x40085504, claim: 0x4004550f, reset: 0x20005514}
	if got := codesOf(directions("mipsle")); got != want {
		t.Errorf("codes on MIPS %#x, want %#x", got, want)
	}
}
