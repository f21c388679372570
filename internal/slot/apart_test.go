package slot_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/moult-ota/moult/internal/slot"
)

// TestApart: an image fills the slot to its last page, and its descriptor is
// found again beside it.
func TestApart(t *testing.T) {
	dir := t.TempDir()
	path, page := filepath.Join(dir, "slot"), filepath.Join(dir, "a.descriptor")
	image := random(2*mebibyte, 1)
	if err := os.WriteFile(path, make([]byte, len(image)+512), 0o600); err != nil { // partitions end where they end
		t.Fatal(err)
	}
	f, err := slot.Apart(path, page)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := slot.Check(f); !errors.Is(err, slot.ErrEmpty) {
		t.Errorf("Check of a fresh slot = %v, want %v", err, slot.ErrEmpty)
	}
	if _, err := slot.NewWriter(f, int64(len(image))+1); !errors.Is(err, slot.ErrTooLarge) {
		t.Errorf("NewWriter of one byte too many = %v, want %v", err, slot.ErrTooLarge)
	}
	for range 2 { // the second time nothing differs
		if err := behind(f, image, describe(image)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(path); !bytes.Equal(got, append(image, make([]byte, 512)...)) {
		t.Error("the slot holds something else than the image")
	}
	if f, err = slot.Apart(path, page); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if d, err := slot.Check(f); err != nil || d.Artifact != "release-2" {
		t.Errorf("Check = %+v, %v, want release-2", d, err)
	}
	if _, err := f.WriteAt([]byte{^image[5]}, 5); err != nil {
		t.Fatal(err)
	}
	if _, err := slot.Check(f); !errors.Is(err, slot.ErrDigest) {
		t.Errorf("Check of a changed slot = %v, want %v", err, slot.ErrDigest)
	}
}

// TestApartAfterACut: a descriptor that was not made to its end is empty.
func TestApartAfterACut(t *testing.T) {
	dir := t.TempDir()
	path, page := filepath.Join(dir, "slot"), filepath.Join(dir, "a.descriptor")
	for _, name := range []string{path, page} {
		if err := os.WriteFile(name, []byte("torn"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Truncate(path, mebibyte); err != nil {
		t.Fatal(err)
	}
	f, err := slot.Apart(path, page)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := slot.Check(f); err == nil {
		t.Error("Check = nil, want an error")
	}
	if _, err := slot.Apart(path, filepath.Join(dir, "no", "folder")); err == nil {
		t.Error("Apart without a folder = nil, want an error")
	}
}
