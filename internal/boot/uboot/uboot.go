// Package uboot keeps boot.Vars in U-Boot's environment, with the variables
// that U-Boot's boot count and Mender's boot commands act on.
//
// Environments in files and on block devices it reads and writes itself, byte
// for byte as fw_printenv and fw_setenv do; those on MTD and UBI through these
// programs. Two copies lose nothing, whatever instant the power goes: boottest
// is the proof. A single copy can be lost by a cut while it is written, by
// U-Boot as by us; Redundant tells them apart. FORMAT.md has the layout.
package uboot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/moult-ota/moult/internal/boot/variables"
)

// A Store is a variables.Store on a device's environment.
type Store struct {
	variables.Store
	// Redundant says that there are two copies. With one, a power cut during
	// a write can cost the environment.
	Redundant bool

	files []*os.File
}

// Open opens the environment whose places the fw_env.config at path names.
func Open(path string) (*Store, error) {
	places, err := ReadConfig(path)
	if err != nil {
		return nil, fmt.Errorf("open U-Boot environment: %w", err)
	}
	s := &Store{Redundant: len(places) == 2}
	raw, err := rawFlash(places)
	if err != nil {
		return nil, fmt.Errorf("open U-Boot environment: %w", err)
	}
	if raw {
		s.Store = Tools{Config: path}
		return s, nil
	}
	var spots []Spot
	for _, p := range places {
		f, err := os.OpenFile(p.Path, os.O_RDWR, 0)
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("open U-Boot environment: %w", err)
		}
		s.files = append(s.files, f)
		spots = append(spots, Spot{f, p.Offset})
	}
	s.Store = locked{On(places[0].Size, spots...)}
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

// rawFlash reports whether the places are MTD or UBI: character devices, or
// names of UBI volumes such as /dev/ubi0:env.
func rawFlash(places []Place) (bool, error) {
	for _, p := range places {
		fi, err := os.Stat(p.Path)
		if errors.Is(err, fs.ErrNotExist) && volume.MatchString(p.Path) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if fi.Mode()&fs.ModeCharDevice != 0 {
			return true, nil
		}
	}
	return false, nil
}
