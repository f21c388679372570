package slot_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"reflect"
	"strings"
	"testing"

	"github.com/moult-ota/moult/internal/slot"
)

func TestSlot(t *testing.T) {
	for _, s := range []slot.Slot{slot.A, slot.B} {
		if got, err := slot.Parse(s.String()); err != nil || got != s {
			t.Errorf("Parse(%q) = %v, %v, want %v", s.String(), got, err, s)
		}
		if s.Other().Other() != s || s.Other() == s {
			t.Errorf("%v.Other() = %v", s, s.Other())
		}
	}
	if _, err := slot.Parse("none"); err == nil {
		t.Error(`Parse("none") = nil, want an error`)
	}
}

func page(t testing.TB, d slot.Descriptor) []byte {
	p, err := slot.AppendDescriptor(nil, d)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestDescriptor fails when a descriptor does not come back as it went.
func TestDescriptor(t *testing.T) {
	long := strings.Repeat("x", slot.MaxText)
	tests := map[string]slot.Descriptor{
		"zero":    {},
		"usual":   {Length: 1 << 30, SHA256: [32]byte{1, 2, 3}, Security: 4, Artifact: "r2", Version: "2.0", DeviceType: "pump", Excerpt: []byte("{}")},
		"longest": {Length: 1<<63 - 1, Artifact: long, Version: long, DeviceType: long, Excerpt: make([]byte, slot.MaxExcerpt)},
	}
	for name, want := range tests {
		p := append(page(t, want), "rest"...)
		got, rest, err := slot.ParseDescriptor(p)
		if err != nil || !reflect.DeepEqual(got, want) || string(rest) != "rest" {
			t.Errorf("%s: ParseDescriptor = %+v, %q, %v, want %+v", name, got, rest, err, want)
		}
	}
}

func TestAppendDescriptorRefuses(t *testing.T) {
	long := strings.Repeat("x", slot.MaxText+1)
	for name, d := range map[string]slot.Descriptor{
		"long name": {Artifact: long}, "long version": {Version: long}, "long device type": {DeviceType: long},
		"long excerpt": {Excerpt: make([]byte, slot.MaxExcerpt+1)}, "negative length": {Length: -1},
	} {
		if _, err := slot.AppendDescriptor(nil, d); err == nil {
			t.Errorf("%s: AppendDescriptor = nil, want an error", name)
		}
	}
}

func TestParseDescriptorRefuses(t *testing.T) {
	good := page(t, slot.Descriptor{Artifact: "r2"})
	flip := func(at int) []byte { p := bytes.Clone(good); p[at] ^= 1; return p }
	tests := []struct {
		name string
		in   []byte
		want error
	}{
		{"zeros", make([]byte, slot.DescriptorSize), slot.ErrEmpty},
		{"erased flash", bytes.Repeat([]byte{0xff}, slot.DescriptorSize), slot.ErrEmpty},
		{"short", good[:100], slot.ErrDescriptor},
		{"magic", flip(0), slot.ErrDescriptor},
		{"format", flip(4), slot.ErrDescriptor},
		{"bytes in use", flip(6), slot.ErrDescriptor},
		{"length", flip(8), slot.ErrDescriptor},
		{"digest", flip(20), slot.ErrDescriptor},
		{"reserved", flip(52), slot.ErrDescriptor},
		{"name", flip(57), slot.ErrDescriptor},
		{"behind the end", flip(slot.DescriptorSize - 1), slot.ErrDescriptor},
	}
	for _, tt := range tests {
		if _, _, err := slot.ParseDescriptor(tt.in); !errors.Is(err, tt.want) {
			t.Errorf("%s: ParseDescriptor = %v, want %v", tt.name, err, tt.want)
		}
	}
}

// FuzzDescriptor fails when a page is accepted that would be written otherwise.
func FuzzDescriptor(f *testing.F) {
	f.Add(page(f, slot.Descriptor{}))
	f.Add(page(f, slot.Descriptor{Length: 5, Artifact: "r2", Excerpt: []byte{1}}))
	f.Add(make([]byte, slot.DescriptorSize))
	f.Fuzz(func(t *testing.T, p []byte) {
		seal(p)
		d, rest, err := slot.ParseDescriptor(p)
		if err != nil {
			return
		}
		if again := append(page(t, d), rest...); !bytes.Equal(again, p) {
			t.Errorf("ParseDescriptor accepts %x and writes it as %x", p, again)
		}
	})
}

// seal sets the checksum, so that the fuzzer comes to the fields.
func seal(p []byte) {
	if len(p) < slot.DescriptorSize {
		return
	}
	if used := int(binary.LittleEndian.Uint16(p[6:])); used >= 12 && used <= slot.DescriptorSize {
		binary.LittleEndian.PutUint32(p[used-4:], crc32.ChecksumIEEE(p[:used-4]))
	}
}
