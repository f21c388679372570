package uboot_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/moult-ota/moult/internal/boot/uboot"
)

func TestParseConfig(t *testing.T) {
	tests := []struct {
		name, text string
		want       []uboot.Place
	}{
		{"one", "/dev/mmcblk0 0x3f0000 0x4000\n", []uboot.Place{{"/dev/mmcblk0", 0x3f0000, 0x4000}}},
		{"two", "# MMC\n\n/dev/mmcblk0 0x3f0000 0x4000\n /dev/mmcblk0\t0x3F4000\t0x4000", []uboot.Place{{"/dev/mmcblk0", 0x3f0000, 0x4000}, {"/dev/mmcblk0", 0x3f4000, 0x4000}}},
		{"what MTD needs", "/dev/mtd1 0 0x4000 0x4000 2 # spare\n", []uboot.Place{{"/dev/mtd1", 0, 0x4000}}},
		{"a size is hexadecimal", "env 0 1000", []uboot.Place{{"env", 0, 0x1000}}},
		{"an offset is as in C", "env 010 0X1000", []uboot.Place{{"env", 8, 0x1000}}},
		{"a digit that Go would take for a prefix", "env 0x0b0 1000", []uboot.Place{{"env", 0xb0, 0x1000}}},
		{"from the end", "env -0x2000 0x1000\nenv -4096 0x1000\r\n", []uboot.Place{{"env", -0x2000, 0x1000}, {"env", -4096, 0x1000}}},
		{"other people's endings", "env 0 0x1000\r\n", []uboot.Place{{"env", 0, 0x1000}}},
	}
	for _, tt := range tests {
		got, err := uboot.ParseConfig(tt.text)
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: ParseConfig = %v, %v, want %v", tt.name, got, err, tt.want)
		}
	}
}

func TestParseConfigRefuses(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"nothing", "# nothing\n", "no place"},
		{"three places", "a 0 1000\nb 0 1000\nc 0 1000\n", "3 places"},
		{"sizes that differ", "a 0 1000\nb 0 2000\n", "one size"},
		{"no size", "a 0 1000\nb 0x1000\n", "line 2: want device, offset and size"},
		{"YAML", "uboot:\n  size : 0x4000\n", "line 1: this is the YAML form"},
		{"a binary offset", "a 0b1 1000\n", "offset 0b1"},
		{"an offset with _", "a 1_0 1000\n", "offset 1_0"},
		{"an offset beyond all disks", "a 0x7fffffffffffffff 1000\n", "offset"},
		{"the least of all offsets", "a -9223372036854775808 1000\n", "offset"},
		{"too small", "a 0 3f\n", "size 3f: want 0x40"},
		{"too large", "a 0 100001\n", "size 100001"},
		{"a size below 0", "a 0 -1000\n", "size -1000"},
		{"a size that is none", "a 0 4k\n", "size 4k"},
	}
	for _, tt := range tests {
		if got, err := uboot.ParseConfig(tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: ParseConfig = %v, %v, want an error with %q", tt.name, got, err, tt.want)
		}
	}
	if _, err := uboot.ParseConfig("uboot :\n"); !errors.Is(err, uboot.ErrYAML) {
		t.Errorf("ParseConfig of YAML = %v, want %v", err, uboot.ErrYAML)
	}
}

// FuzzParseConfig fails when places come out that have no room to be in.
func FuzzParseConfig(f *testing.F) {
	f.Add("# MMC\n/dev/mmcblk0 0x3f0000 0x4000\n/dev/mmcblk0 -0x4000 4000 0x4000 1\n")
	f.Add("uboot:\n  size : 0x4000\n")
	f.Add("/dev/ubi0:env 0 1f000 1f000 3\n")
	f.Add("a +0x7 0X40")
	f.Fuzz(func(t *testing.T, text string) {
		places, err := uboot.ParseConfig(text)
		if err != nil {
			return
		}
		if n := len(places); n < 1 || n > 2 || places[0].Size != places[n-1].Size {
			t.Errorf("ParseConfig(%q) = %v", text, places)
		}
		for _, p := range places {
			if p.Path == "" || p.Size < 64 || p.Size > 1<<20 || p.Offset+int64(p.Size) < p.Offset || -p.Offset == p.Offset && p.Offset != 0 {
				t.Errorf("ParseConfig(%q) = %v", text, places)
			}
		}
	})
}
