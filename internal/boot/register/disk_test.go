package register_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/moult-ota/moult/internal/boot/register"
)

// TestDisk fails when a register in a file does not outlive its process.
func TestDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "register")
	d, err := register.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
	v := sample.Vars
	for v.Deployment = range uint32(12) { // more than both sectors hold
		d, err := register.File(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := open(t, d).Save(v); err != nil {
			t.Fatal(err)
		}
		if got, err := open(t, d).Load(); got != v || err != nil {
			t.Fatalf("Load = %+v, %v, want %+v", got, err, v)
		}
		d.Close()
	}
	if _, err := register.Create(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("Create over a register = %v, want %v", err, os.ErrExist)
	}
}

func TestFileTooShort(t *testing.T) {
	path := filepath.Join(t.TempDir(), "register")
	if err := os.WriteFile(path, make([]byte, register.DiskSize-1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := register.File(path); err == nil {
		t.Error("File with one byte too few = nil, want an error")
	}
}
