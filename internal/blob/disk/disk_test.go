package disk_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/moult-ota/moult/internal/blob"
	"github.com/moult-ota/moult/internal/blob/blobtest"
	"github.com/moult-ota/moult/internal/blob/disk"
)

func open(t testing.TB, dir string) *disk.Store {
	t.Helper()
	s, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDisk(t *testing.T) {
	blobtest.Run(t, func(t testing.TB) blob.Store { return open(t, filepath.Join(t.TempDir(), "blobs")) })
}

// files counts the files below dir.
func files(t testing.TB, dir string) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A killed process leaves its unfinished blob; the next one sweeps it.
func TestOpenSweepsUnfinishedBlobs(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	done, err := s.Create(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	done.Write([]byte("done"))
	if _, _, err := done.Commit(); err != nil {
		t.Fatal(err)
	}
	unfinished, err := s.Create(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer unfinished.Close()
	unfinished.Write([]byte("half"))
	if n := files(t, dir); n != 2 {
		t.Fatalf("%d files while writing, want 2", n)
	}
	open(t, dir)
	if n := files(t, dir); n != 1 {
		t.Errorf("%d files after opening again, want the committed one", n)
	}
}

func TestClosedWriterLeavesNoFile(t *testing.T) {
	dir := t.TempDir()
	w, err := open(t, dir).Create(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte("given up"))
	w.Close()
	if n := files(t, dir); n != 0 {
		t.Errorf("%d files, want none", n)
	}
}

// The kernel sends only files by itself.
func TestReaderIsAFile(t *testing.T) {
	s := open(t, t.TempDir())
	w, _ := s.Create(context.Background())
	sum, _, err := w.Commit()
	if err != nil {
		t.Fatal(err)
	}
	r, _, err := s.Open(context.Background(), sum)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, ok := r.(*os.File); !ok {
		t.Errorf("Open returned a %T, want an *os.File", r)
	}
}
