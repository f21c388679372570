package uboot_test

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"maps"
	"strings"
	"testing"

	"github.com/moult-ota/moult/internal/boot/uboot"
	"github.com/moult-ota/moult/internal/boot/variables"
)

const size = 0x1000 // of a copy in these tests

// signed puts the checksum of text before it.
func signed(text []byte) []byte {
	return append(binary.NativeEndian.AppendUint32(nil, crc32.ChecksumIEEE(text)), text...)
}

// memory is a Device; dull reads as it read first, whatever is written.
type memory struct {
	bytes []byte
	dull  bool
}

func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	if n := copy(p, m.bytes[off:]); n < len(p) {
		return n, io.EOF
	}
	return len(p), nil
}

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	if !m.dull {
		copy(m.bytes[off:], p)
	}
	return len(p), nil
}

func (m *memory) Sync() error { return nil }

// copyOf is a redundant copy that says who it is.
func copyOf(t *testing.T, who string, counter uint8) *memory {
	t.Helper()
	p, err := uboot.AppendCopy(nil, uboot.Copy{Set: variables.Set{"who": who}, Counter: counter}, size, true)
	if err != nil {
		t.Fatal(err)
	}
	return &memory{bytes: p}
}

// counters are pairs that rules of order differ over.
var counters = []struct {
	first, second uint8
	who           string
}{
	{1, 1, "first"}, {0, 0, "first"}, {255, 255, "first"}, {1, 2, "second"}, {2, 1, "first"},
	{127, 128, "second"}, {128, 127, "first"}, {254, 255, "second"}, {255, 254, "first"},
	{255, 0, "second"}, {0, 255, "first"}, {254, 0, "first"}, {0, 254, "second"}, {255, 1, "first"}, {1, 255, "second"},
}

// TestNewer fails when U-Boot would start from the other copy.
func TestNewer(t *testing.T) {
	for _, tt := range counters {
		d := uboot.On(size, uboot.Spot{Device: copyOf(t, "first", tt.first)}, uboot.Spot{Device: copyOf(t, "second", tt.second)})
		if s, err := d.Read(); err != nil || s["who"] != tt.who {
			t.Errorf("Read with counters %d and %d = %v, %v, want %s", tt.first, tt.second, s, err, tt.who)
		}
	}
}

// TestWriteTheOther fails when a write touches the copy in force.
func TestWriteTheOther(t *testing.T) {
	for _, tt := range counters {
		a, b := copyOf(t, "first", tt.first), copyOf(t, "second", tt.second)
		kept, counter := a, tt.first
		if tt.who == "second" {
			kept, counter = b, tt.second
		}
		before := string(kept.bytes)
		d := uboot.On(size, uboot.Spot{Device: a}, uboot.Spot{Device: b})
		if err := d.Write(variables.Set{"new": "1"}); err != nil {
			t.Fatal(err)
		}
		if string(kept.bytes) != before {
			t.Errorf("Write with counters %d and %d touched the copy in force", tt.first, tt.second)
		}
		want := variables.Set{"who": tt.who, "new": "1"}
		if s, err := d.Read(); err != nil || !maps.Equal(s, want) {
			t.Errorf("Read after a write with counters %d and %d = %v, %v, want %v", tt.first, tt.second, s, err, want)
		}
		other := map[bool]*memory{true: b, false: a}[kept == a]
		if got := other.bytes[4]; got != counter+1 {
			t.Errorf("Write with counters %d and %d wrote counter %d, want %d", tt.first, tt.second, got, counter+1)
		}
	}
}

func TestDamaged(t *testing.T) {
	torn := func(m *memory) *memory { m.bytes[size-1] ^= 1; return m }
	a, b := copyOf(t, "first", 7), torn(copyOf(t, "second", 8))
	d := uboot.On(size, uboot.Spot{Device: a}, uboot.Spot{Device: b})
	if s, err := d.Read(); err != nil || s["who"] != "first" {
		t.Errorf("Read with a torn second copy = %v, %v, want first", s, err)
	}
	if err := d.Write(variables.Set{"who": "new"}); err != nil || b.bytes[4] != 8 {
		t.Errorf("Write over a torn copy = %v with counter %d, want 8", err, b.bytes[4])
	}
	torn(a)
	torn(b)
	if s, err := d.Read(); !errors.Is(err, uboot.ErrNone) || s != nil {
		t.Errorf("Read with two torn copies = %v, %v, want %v", s, err, uboot.ErrNone)
	}
	if err := d.Write(variables.Set{"who": "new"}); !errors.Is(err, uboot.ErrNone) {
		t.Errorf("Write with two torn copies = %v, want %v", err, uboot.ErrNone)
	}
}

// TestDoesNotHold fails when a write that is not there counts as done.
func TestDoesNotHold(t *testing.T) {
	b := copyOf(t, "second", 1)
	b.dull = true
	d := uboot.On(size, uboot.Spot{Device: copyOf(t, "first", 2)}, uboot.Spot{Device: b})
	if err := d.Write(variables.Set{"who": "new"}); err == nil || !strings.Contains(err.Error(), "read back") {
		t.Errorf("Write on a disk that forgets = %v, want an error", err)
	}
}

// TestKind fails when an operator is not told that the two disagree.
func TestKind(t *testing.T) {
	single, err := uboot.AppendCopy(nil, uboot.Copy{Set: variables.Set{"a": "1"}}, size, false)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		disk *uboot.Disk
	}{
		{"one of two, read as the only one", uboot.On(size, uboot.Spot{Device: copyOf(t, "first", 1)})},
		{"the only one, read as one of two", uboot.On(size, uboot.Spot{Device: &memory{bytes: single}}, uboot.Spot{Device: &memory{bytes: make([]byte, size)}})},
	}
	for _, tt := range tests {
		if s, err := tt.disk.Read(); !errors.Is(err, uboot.ErrNone) || !errors.Is(err, uboot.ErrKind) {
			t.Errorf("%s: Read = %v, %v, want %v", tt.name, s, err, uboot.ErrKind)
		}
	}
}

func TestFull(t *testing.T) {
	a, b := copyOf(t, "first", 1), copyOf(t, "second", 2)
	d := uboot.On(size, uboot.Spot{Device: a}, uboot.Spot{Device: b})
	before := string(a.bytes)
	if err := d.Write(variables.Set{"long": strings.Repeat("x", size)}); !errors.Is(err, uboot.ErrFull) || string(a.bytes) != before {
		t.Errorf("Write of more than fits = %v, want %v and nothing written", err, uboot.ErrFull)
	}
}
