package slot_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/moult-ota/moult/internal/slot"
)

// TestFile fails when a plain file does not work as a slot, past the page
// cache too.
func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "slot")
	f, err := slot.CreateFile(path, 3*mebibyte)
	if err != nil {
		t.Fatal(err)
	}
	image := random(2*mebibyte+777, 1)
	if _, err := install(f, image, describe(image)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	f, err = slot.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if d, err := slot.Check(f); err != nil || d.SHA256 != describe(image).SHA256 {
		t.Errorf("Check = %x, %v, want %x", d.SHA256, err, describe(image).SHA256)
	}
}

func TestOpenFileMissing(t *testing.T) {
	if _, err := slot.OpenFile(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("OpenFile = %v, want %v", err, os.ErrNotExist)
	}
}

// BenchmarkInstall is to be held against `dd conv=fsync` of as many bytes.
func BenchmarkInstall(b *testing.B) {
	image := random(256*mebibyte, 1)
	dir := b.TempDir()
	b.SetBytes(int64(len(image)))
	b.Run("fresh", func(b *testing.B) { benchmarkInstall(b, dir, image, true) })
	b.Run("over another", func(b *testing.B) { benchmarkInstall(b, dir, image, false) })
	b.Run("plain write and sync", func(b *testing.B) { benchmarkPlain(b, dir, image) })
}

func benchmarkInstall(b *testing.B, dir string, image []byte, fresh bool) {
	d := describe(image)
	path := filepath.Join(dir, "slot")
	b.SetBytes(d.Length)
	for b.Loop() {
		b.StopTimer()
		if fresh {
			os.Remove(path)
		}
		f, err := slot.CreateFile(path, d.Length+slot.DescriptorSize)
		if err != nil {
			b.Fatal(err)
		}
		image[0]++ // so that a second run finds another image
		for i := 0; i < len(image); i += 4096 {
			image[i] = image[0]
		}
		d = describe(image)
		b.StartTimer()
		if _, err := install(f, image, d); err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
}

func benchmarkPlain(b *testing.B, dir string, image []byte) {
	path := filepath.Join(dir, "plain")
	b.SetBytes(int64(len(image)))
	for b.Loop() {
		b.StopTimer()
		os.Remove(path)
		f, err := os.Create(path)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		for p := image; len(p) > 0; p = p[mebibyte:] {
			if _, err := f.Write(p[:mebibyte]); err != nil {
				b.Fatal(err)
			}
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
}
