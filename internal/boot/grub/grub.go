// Package grub keeps boot.Vars in GRUB's environment, with Mender's variables.
//
// The environment is kept twice, each copy with a lock beside it, in the
// folders and files of Mender's GRUB integration: GRUB's blocks have no
// checksum, and its save_env writes over them. A power cut at any write, ours
// or GRUB's, leaves a copy that is whole; boottest is the proof for ours, and
// contrib/grub/moult.cfg, which GRUB runs, keeps the same order. FORMAT.md has
// the layout. The folder must be one that GRUB can write: no LVM, no RAID, no
// btrfs.
package grub

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moult-ota/moult/internal/atomicfile"
	"github.com/moult-ota/moult/internal/boot/variables"
)

// Folders are where Mender's programs look for the environment, in order.
var Folders = []string{"/boot/efi/grub-mender-grubenv", "/boot/grub/grub-mender-grubenv", "/boot/efi/EFI/BOOT", "/boot/grub"}

var folders = [2]string{"mender_grubenv1", "mender_grubenv2"}

// Find returns the first of Folders that has an environment.
func Find() (string, error) {
	for _, dir := range Folders {
		if _, err := os.Stat(filepath.Join(dir, folders[0])); err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("find GRUB environment: none in %q; set boot_env to the folder that GRUB reads", Folders)
}

// A Store is a variables.Store on a folder.
type Store struct {
	variables.Store
	files []*os.File
}

// Open opens the environment in dir, and repairs what a cut left of a write.
func Open(dir string) (*Store, error) {
	s := &Store{}
	var copies [2]Copy
	for i, sub := range folders {
		for _, to := range []struct {
			file *File
			name string
		}{{&copies[i].Lock, "lock"}, {&copies[i].Env, "env"}} {
			f, err := os.OpenFile(filepath.Join(dir, sub, to.name), os.O_RDWR, 0)
			if err != nil {
				s.Close()
				return nil, fmt.Errorf("open GRUB environment: %w; moult-agent setup makes one", err)
			}
			s.files, *to.file = append(s.files, f), f
		}
	}
	d := On(copies[0], copies[1])
	s.Store = locked{d}
	if err := hold(d.Settle); err != nil {
		s.Close()
		return nil, fmt.Errorf("open GRUB environment: %w", err)
	}
	return s, nil
}

// Close lets go of the files.
func (s *Store) Close() error {
	var errs []error
	for _, f := range s.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// Create makes what is missing of an environment in dir. A copy that is there
// is not touched, and one that is not becomes as the other.
func Create(dir string) error {
	if _, err := os.Stat(dir); err != nil {
		return fmt.Errorf("create GRUB environment: %w", err)
	}
	env := Block{comment}
	for _, sub := range folders {
		if b, err := readFile(filepath.Join(dir, sub, "env")); err == nil {
			env = b
		}
	}
	for _, sub := range folders {
		err := create(dir, filepath.Join(sub, "env"), env)
		if err == nil {
			err = create(dir, filepath.Join(sub, "lock"), blankLock())
		}
		if err != nil {
			return fmt.Errorf("create GRUB environment: %w", err)
		}
	}
	return nil
}

func create(dir, name string, b Block) error {
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	p, err := AppendBlock(nil, b)
	if err != nil {
		return err
	}
	if err := atomicfile.Write(path, p, 0o644); err != nil {
		return err
	}
	return syncFolder(dir) // for the folder in it
}

func readFile(path string) (Block, error) {
	p, err := atomicfile.Read(path, Size)
	if err != nil {
		return nil, err
	}
	return ParseBlock(p)
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
