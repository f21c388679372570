package atomicfile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/moult-ota/moult/internal/atomicfile"
)

// TestWrite fails when a file is not replaced as a whole, with its mode.
func TestWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(path+".new", []byte("left over by a cut"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"first", "second, longer", ""} {
		if err := atomicfile.Write(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := atomicfile.Read(path, 100)
		if string(got) != text || err != nil {
			t.Errorf("Read = %q, %v, want %q", got, err, text)
		}
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v, %v, want 0600", st.Mode(), err)
	}
	if list, err := os.ReadDir(filepath.Dir(path)); len(list) != 1 || err != nil {
		t.Errorf("folder holds %v, %v, want the file alone", list, err)
	}
}

// TestWriteKeepsOld fails when an error costs the old contents.
func TestWriteKeepsOld(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	if err := os.MkdirAll(filepath.Join(path+".new", "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.Write(path, []byte("new"), 0o600); err == nil {
		t.Error("Write with its temporary file blocked = nil, want an error")
	}
	if got, err := atomicfile.Read(path, 100); string(got) != "old" || err != nil {
		t.Errorf("Read = %q, %v, want old", got, err)
	}
	if err := atomicfile.Write(filepath.Join(dir, "no", "folder"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Write into no folder = %v, want %v", err, fs.ErrNotExist)
	}
}

// TestReadLimit fails when a file from outside can fill the memory.
func TestReadLimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	if err := atomicfile.Write(path, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := atomicfile.Read(path, 5); len(got) != 5 || err != nil {
		t.Errorf("Read of 5 bytes, limit 5 = %q, %v", got, err)
	}
	if _, err := atomicfile.Read(path, 4); !errors.Is(err, atomicfile.ErrTooLarge) {
		t.Errorf("Read of 5 bytes, limit 4 = %v, want %v", err, atomicfile.ErrTooLarge)
	}
	if _, err := atomicfile.Read(path+"x", 4); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Read of no file = %v, want %v", err, fs.ErrNotExist)
	}
}
