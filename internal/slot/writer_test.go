package slot_test

import (
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/moult-ota/moult/internal/slot"
)

const mebibyte = 1 << 20

// random returns n bytes that are the same for the same seed.
func random(n int, seed byte) []byte {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(p)
	return p
}

func describe(image []byte) slot.Descriptor {
	return slot.Descriptor{Length: int64(len(image)), SHA256: sha256.Sum256(image), Security: 7, Artifact: "release-2"}
}

// install streams image into f in pieces of odd sizes.
func install(f slot.File, image []byte, d slot.Descriptor) (slot.Stats, error) {
	w, err := slot.NewWriter(f, d.Length)
	if err != nil {
		return slot.Stats{}, err
	}
	for p := image; len(p) > 0; {
		n := min(len(p), 70_001)
		if _, err := w.Write(p[:n]); err != nil {
			return w.Stats(), err
		}
		p = p[n:]
	}
	return w.Stats(), w.Finish(d)
}

// TestWriterWritesWhatDiffers fails when an image does not arrive, or when
// bytes are written that were there.
func TestWriterWritesWhatDiffers(t *testing.T) {
	image := random(5*mebibyte+12345, 1)
	changed := slices.Clone(image)
	changed[3*mebibyte+5] ^= 1
	tests := []struct {
		name    string
		before  []byte
		written int64 // at most
	}{
		{"empty slot", nil, int64(len(image))},
		{"same image", image, 0},
		{"one byte differs", changed, 16 << 10},
		{"interrupted after 2 MiB", image[:2*mebibyte], int64(len(image) - 2*mebibyte)},
		{"all differs", random(8*mebibyte, 2), int64(len(image))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &memory{bytes: make([]byte, 8*mebibyte)}
			copy(f.bytes, tt.before)
			if _, err := install(f, image, describe(image)); err != nil {
				t.Fatalf("install = %v", err)
			}
			if got := f.writes - 2*slot.DescriptorSize; got > tt.written {
				t.Errorf("wrote %d bytes of image, want at most %d", got, tt.written)
			}
			if d, err := slot.Check(f); err != nil || d.Artifact != "release-2" {
				t.Errorf("Check = %+v, %v, want release-2", d, err)
			}
		})
	}
}

// TestWriterReadsLittleOfADifferentSlot fails when comparing doubles the work
// of an installation over something else.
func TestWriterReadsLittleOfADifferentSlot(t *testing.T) {
	image := random(64*mebibyte, 1)
	f := &memory{bytes: random(65*mebibyte, 2)}
	w, err := slot.NewWriter(f, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(image); err != nil {
		t.Fatal(err)
	}
	if f.reads > 6*mebibyte {
		t.Errorf("read %d bytes to write %d, want at most 6 MiB", f.reads, len(image))
	}
}

// TestWriterFindsSimilarityAgain fails when a Writer that gave up comparing
// never begins again.
func TestWriterFindsSimilarityAgain(t *testing.T) {
	image := random(32*mebibyte, 1)
	f := &memory{bytes: slices.Concat(random(16*mebibyte, 2), image[16*mebibyte:], make([]byte, mebibyte))}
	stats, err := install(f, image, describe(image))
	if err != nil {
		t.Fatal(err)
	}
	if stats.Skipped != 16*mebibyte {
		t.Errorf("skipped %d bytes, want %d", stats.Skipped, 16*mebibyte)
	}
}

// TestWriterRefuses fails when a bad image gets a valid descriptor, or an
// error does not say what happened.
func TestWriterRefuses(t *testing.T) {
	image := random(100_000, 1)
	longer, other := describe(image), describe(image)
	longer.Length++
	other.SHA256[0] ^= 1
	tests := []struct {
		name string
		file *memory
		desc slot.Descriptor
		want error
		text string
	}{
		{"stream ends early", &memory{}, longer, slot.ErrDigest, "100000 bytes came"},
		{"storage forgets", &memory{lost: true}, describe(image), slot.ErrDigest, "read back"},
		{"disk is full", &memory{fail: syscall.ENOSPC}, describe(image), syscall.ENOSPC, "make room"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.file.bytes = make([]byte, mebibyte)
			_, err := install(tt.file, image, tt.desc)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("install = %v, want %v with %q", err, tt.want, tt.text)
			}
			if _, err := slot.Check(tt.file); !errors.Is(err, slot.ErrEmpty) {
				t.Errorf("Check = %v, want %v", err, slot.ErrEmpty)
			}
		})
	}
}

// TestWriterTellsStreamFromMedium: what came wrong is not the medium's fault.
func TestWriterTellsStreamFromMedium(t *testing.T) {
	image := random(100_000, 1)
	other := describe(image)
	other.SHA256[0] ^= 1
	f := &memory{bytes: make([]byte, mebibyte)}
	_, err := install(f, image, other)
	came := new(slot.StreamError)
	if !errors.As(err, &came) || came.Got != sha256.Sum256(image) || came.Want != other.SHA256 {
		t.Errorf("install of another image = %v, want a StreamError", err)
	}
	f.lost = true
	if _, err = install(f, random(100_000, 3), other); errors.As(err, &came) || !errors.Is(err, slot.ErrDigest) {
		t.Errorf("install on a medium that forgets = %v, want %v", err, slot.ErrDigest)
	}
	if _, err := slot.Check(f); !errors.Is(err, slot.ErrEmpty) {
		t.Errorf("Check = %v, want %v", err, slot.ErrEmpty)
	}
}

// TestWriterTooLarge fails when an image that cannot fit changes the slot
// although its size was known.
func TestWriterTooLarge(t *testing.T) {
	image := random(mebibyte, 1) // the descriptor takes the last page
	f := &memory{bytes: make([]byte, mebibyte)}
	if _, err := slot.NewWriter(f, int64(len(image))); !errors.Is(err, slot.ErrTooLarge) || f.writes != 0 {
		t.Errorf("NewWriter = %v after %d bytes written, want %v after none", err, f.writes, slot.ErrTooLarge)
	}
	w, err := slot.NewWriter(f, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(append(image, 1)); !errors.Is(err, slot.ErrTooLarge) {
		t.Errorf("Write = %v, want %v", err, slot.ErrTooLarge)
	}
	if err := w.Finish(describe(image)); !errors.Is(err, slot.ErrTooLarge) {
		t.Errorf("Finish after a failed Write = %v, want %v", err, slot.ErrTooLarge)
	}
}

// watcher notes whether the descriptor was valid when the image first changed.
type watcher struct {
	*memory
	t *testing.T
}

func (w watcher) WriteAt(p []byte, off int64) (int, error) {
	if room, _ := slot.Capacity(w); off < room {
		if _, err := slot.ReadDescriptor(w); !errors.Is(err, slot.ErrEmpty) {
			w.t.Errorf("image written at %d while its descriptor was valid (%v)", off, err)
		}
	}
	return w.memory.WriteAt(p, off)
}

// TestWriterInvalidatesFirst fails when a slot under change still names its
// old image.
func TestWriterInvalidatesFirst(t *testing.T) {
	f := watcher{&memory{bytes: make([]byte, 2*mebibyte)}, t}
	for seed := range byte(3) {
		image := random(mebibyte+int(seed), seed)
		if _, err := install(f, image, describe(image)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCheckDamage fails when a slot passes with other bytes than were installed.
func TestCheckDamage(t *testing.T) {
	image := random(50_000, 1)
	f := &memory{bytes: make([]byte, 64<<10)}
	if _, err := slot.Check(f); !errors.Is(err, slot.ErrEmpty) {
		t.Errorf("Check of a fresh slot = %v, want %v", err, slot.ErrEmpty)
	}
	if _, err := install(f, image, describe(image)); err != nil {
		t.Fatal(err)
	}
	f.bytes[49_999] ^= 1
	if _, err := slot.Check(f); !errors.Is(err, slot.ErrDigest) {
		t.Errorf("Check with the last byte changed = %v, want %v", err, slot.ErrDigest)
	}
	f.bytes[49_999] ^= 1
	f.bytes[60<<10+20] ^= 1
	if _, err := slot.Check(f); !errors.Is(err, slot.ErrDescriptor) {
		t.Errorf("Check with the digest changed = %v, want %v", err, slot.ErrDescriptor)
	}
	if _, err := slot.Check(&memory{bytes: make([]byte, 100)}); err == nil {
		t.Error("Check of a slot without room for a descriptor = nil, want an error")
	}
}

var _ io.Writer = (*slot.Writer)(nil)
