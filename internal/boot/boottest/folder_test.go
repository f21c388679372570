package boottest_test

import (
	"testing"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/boot/boottest"
)

// inFile keeps one record in a file: written over, or renamed into its place.
type inFile struct {
	f       *boottest.Folder
	renames bool
	syncs   bool // the folder, after renaming
}

func (i inFile) Load() (boot.Vars, error) {
	p, err := i.f.Read("d/vars")
	if err != nil || len(p) < 10 {
		return boot.Vars{}, nil
	}
	v, _, _ := parse(p)
	return v, nil
}

func (i inFile) Save(v boot.Vars) error {
	if !i.renames {
		return i.f.Write("d/vars", record(v, 1))
	}
	if err := i.f.Write("d/new", record(v, 1)); err != nil {
		return err
	}
	if err := i.f.Rename("d/new", "d/vars"); err != nil || !i.syncs {
		return err
	}
	return i.f.Sync("d")
}

// TestSuiteOnFiles is the test of Folder: a file is replaced at once by a
// rename that is synced, and by nothing less.
func TestSuiteOnFiles(t *testing.T) {
	tests := []struct {
		name string
		env  inFile
		want bool
	}{
		{"written over", inFile{}, false},
		{"renamed", inFile{renames: true}, false},
		{"renamed and synced", inFile{renames: true, syncs: true}, true},
	}
	for _, tt := range tests {
		var got []boottest.Violation
		s := boottest.Subject{Name: tt.name, Blank: boottest.NewFolder(nil), Open: func(s boottest.Storage) (boot.Env, error) {
			return inFile{s.(*boottest.Folder), tt.env.renames, tt.env.syncs}, nil
		}}
		boottest.Play(s, boottest.Options{Cuts: 20_000 / slower, Most: 1}, func(v boottest.Violation) { got = append(got, v) })
		if (len(got) == 0) != tt.want {
			t.Errorf("%s: Play found %v, want it to pass: %v", tt.name, got, tt.want)
		}
	}
}
