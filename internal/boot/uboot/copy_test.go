package uboot_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/moult-ota/moult/internal/boot/uboot"
	"github.com/moult-ota/moult/internal/boot/variables"
)

// TestGolden fails when what U-Boot reads changes. The bytes are mkenvimage's.
func TestGolden(t *testing.T) {
	set := variables.Set{"b": "two words", "a": "2"}
	tests := []struct {
		name      string
		redundant bool
		want      string
	}{
		{"single", false, "a46bc4cf" + "613d3200623d74776f20776f72647300"},
		{"redundant", true, "104d947107" + "613d3200623d74776f20776f72647300"},
	}
	for _, tt := range tests {
		got, err := uboot.AppendCopy([]byte("before"), uboot.Copy{Set: set, Counter: 7}, 64, tt.redundant)
		if err != nil {
			t.Fatal(err)
		}
		want, _ := hex.DecodeString(tt.want)
		want = append([]byte("before"), append(want, make([]byte, 64-len(want))...)...)
		if !bytes.Equal(got, want) {
			t.Errorf("%s: AppendCopy = %x\nwant %x", tt.name, got, want)
		}
	}
}

func TestAppendRefuses(t *testing.T) {
	tests := []struct {
		name string
		set  variables.Set
		want error
	}{
		{"as much as fits", variables.Set{"a": strings.Repeat("x", 64-4-4)}, nil},
		{"one byte more", variables.Set{"a": strings.Repeat("x", 64-4-3)}, uboot.ErrFull},
		{"no name", variables.Set{"": "x"}, uboot.ErrText},
		{"name with =", variables.Set{"a=b": "x"}, uboot.ErrText},
		{"value with NUL", variables.Set{"a": "x\x00b=y"}, uboot.ErrText},
	}
	for _, tt := range tests {
		if _, err := uboot.AppendCopy(nil, uboot.Copy{Set: tt.set}, 64, false); !errors.Is(err, tt.want) {
			t.Errorf("%s: AppendCopy = %v, want %v", tt.name, err, tt.want)
		}
	}
}

// TestParse is what U-Boot would make of odd text under a good checksum.
func TestParse(t *testing.T) {
	tests := []struct {
		name, text string
		want       variables.Set
	}{
		{"nothing", "\x00", variables.Set{}},
		{"twice", "a=1\x00a=2\x00\x00", variables.Set{"a": "2"}},
		{"no =", "what\x00a=1\x00\x00", variables.Set{"a": "1"}},
		{"no name", "=x\x00a=1\x00\x00", variables.Set{"a": "1"}},
		{"= in the value", "a=b=c\x00\x00", variables.Set{"a": "b=c"}},
		{"old text behind the end", "a=1\x00\x00b=2\x00\x00", variables.Set{"a": "1"}},
		{"erased flash behind the end", "a=1\x00\x00\xff\xff\xff", variables.Set{"a": "1"}},
		{"no end", strings.Repeat("a", 58) + "=x", variables.Set{strings.Repeat("a", 58): "x"}},
	}
	for _, tt := range tests {
		p := signed(append([]byte(tt.text), make([]byte, 60-len(tt.text))...))
		c, err := uboot.ParseCopy(p, false)
		if err != nil || !maps.Equal(c.Set, tt.want) {
			t.Errorf("%s: ParseCopy = %q, %v, want %q", tt.name, c.Set, err, tt.want)
		}
		p[len(p)-1] ^= 0x80
		if _, err := uboot.ParseCopy(p, false); !errors.Is(err, uboot.ErrSum) {
			t.Errorf("%s: ParseCopy with a flipped bit = %v, want %v", tt.name, err, uboot.ErrSum)
		}
	}
	for _, size := range []int{0, 4, 63, 1<<20 + 1} {
		if _, err := uboot.ParseCopy(make([]byte, size), true); err == nil || errors.Is(err, uboot.ErrSum) {
			t.Errorf("ParseCopy of %d bytes = %v, want an error of its size", size, err)
		}
	}
}

// FuzzParseCopy fails when what was read is written as something else. The
// first byte says which kind; the checksum is put right, since chance never does.
func FuzzParseCopy(f *testing.F) {
	f.Add(false, []byte("a=1\x00b=two words\x00\x00"))
	f.Add(true, []byte("\x07mender_boot_part=2\x00upgrade_available=1\x00\x00"))
	f.Add(true, []byte("\xffa=1\x00a=2\x00=x\x00what\x00\x00\xff\xff\xff"))
	f.Add(false, []byte("no end"))
	f.Fuzz(func(t *testing.T, redundant bool, rest []byte) {
		rest = append(bytes.Clone(rest), make([]byte, max(0, 60-len(rest)))...)
		p := signed(rest)
		if redundant {
			p = append(signed(rest[1:])[:4], rest...)
		}
		c, err := uboot.ParseCopy(p, redundant)
		if err != nil {
			if len(p) <= 1<<20 {
				t.Errorf("ParseCopy(%q) = %v", p, err)
			}
			return
		}
		again, err := uboot.AppendCopy(nil, c, len(p)+2, redundant) // 2 more: the last text may have no end
		if err != nil {
			t.Fatalf("AppendCopy(%q) = %v", c.Set, err)
		}
		d, err := uboot.ParseCopy(again, redundant)
		if len(again) <= 1<<20 && (err != nil || d.Counter != c.Counter || !maps.Equal(d.Set, c.Set)) {
			t.Errorf("read %+v, wrote and read %+v, %v", c, d, err)
		}
	})
}
