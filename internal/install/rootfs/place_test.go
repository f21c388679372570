package rootfs_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/moult-ota/moult/internal/install"
	"github.com/moult-ota/moult/internal/install/rootfs"
	"github.com/moult-ota/moult/internal/slot"
)

// stubborn is a slot that cannot be written, or reads other than written.
type stubborn struct {
	slot.File
	write error
	flip  byte
}

var errWorn = errors.New("input/output error")

func (s stubborn) WriteAt(p []byte, off int64) (int, error) {
	if s.write != nil {
		return 0, s.write
	}
	return s.File.WriteAt(p, off)
}

func (s stubborn) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.File.ReadAt(p, off)
	p[0] ^= s.flip
	return n, err
}

// TestPlace fails when a slot is described before all is well, or is blamed
// for what came, or the other way round.
func TestPlace(t *testing.T) {
	errBegin := errors.New("not now")
	tests := []struct {
		name    string
		payload func(t *testing.T) install.Payload
		slot    stubborn
		begin   error
		want    error
		blame   bool // of the slot
	}{
		{"well", func(t *testing.T) install.Payload { return payload(t, "image", nil) }, stubborn{}, nil, nil, false},
		{"line breaks", func(t *testing.T) install.Payload { return broken(t, "image and tail", 2) }, stubborn{}, nil, errLine, false},
		{"line breaks after the image", func(t *testing.T) install.Payload { return broken(t, "image and tail", -1) }, stubborn{}, nil, errLine, false},
		{"too large", func(t *testing.T) install.Payload { return payload(t, strings.Repeat("x", 4<<20), nil) }, stubborn{}, nil, slot.ErrTooLarge, false},
		{"may not begin", func(t *testing.T) install.Payload { return payload(t, "image", nil) }, stubborn{}, errBegin, errBegin, false},
		{"slot is not written", func(t *testing.T) install.Payload { return payload(t, "image", nil) }, stubborn{write: errWorn}, nil, errWorn, true},
		{"slot is not written, and more would come", func(t *testing.T) install.Payload { return payload(t, strings.Repeat("x", 2<<20), nil) },
			stubborn{write: errWorn}, nil, errWorn, true},
		{"slot reads other than written", func(t *testing.T) install.Payload { return payload(t, "image", nil) }, stubborn{flip: 1}, nil, slot.ErrDigest, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBoard(t)
			f, err := slot.CreateFile(b.slots[1], 3<<20)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			tt.slot.File = f
			begun := 0
			d, err := rootfs.Place(tt.slot, tt.payload(t), "bench", func() error { begun++; return tt.begin })
			if !errors.Is(err, tt.want) || errors.Is(err, rootfs.ErrSlot) != tt.blame {
				t.Errorf("Place = %v, want %v, the slot to blame: %v", err, tt.want, tt.blame)
			}
			if ok := b.check(slot.B) == nil; ok != (tt.want == nil) {
				t.Errorf("after %v the slot is complete: %v", err, ok)
			}
			if tt.want == nil && (d.Artifact != "fw-2" || d.DeviceType != "bench" || d.Security != 2 || begun != 1) {
				t.Errorf("Place = %+v, begun %d times", d, begun)
			}
		})
	}
}
