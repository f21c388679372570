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

// TestFileOfSomethingElse fails when a wrong path costs a file system.
func TestFileOfSomethingElse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "partition")
	contents := make([]byte, register.DiskSize)
	tests := []struct {
		name    string
		strange int // blocks
		want    bool
	}{{"zeros", 0, true}, {"zeros and what cuts spoilt", 2, true}, {"a file system", 5, false}}
	for _, tt := range tests {
		for i := range tt.strange {
			copy(contents[i*4096:], "inodes and such")
		}
		if err := os.WriteFile(path, contents, 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := register.File(path)
		if (err == nil) != tt.want {
			t.Errorf("%s: File = %v, want success %v", tt.name, err, tt.want)
		}
		if err != nil {
			continue
		}
		if err := open(t, d).Save(sample.Vars); err != nil {
			t.Errorf("%s: Save = %v", tt.name, err)
		}
		d.Close()
	}
}
