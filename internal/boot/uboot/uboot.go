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
	"fmt"

	"github.com/moult-ota/moult/internal/boot/variables"
)

// A Store is a variables.Store on a device's environment.
type Store struct {
	variables.Store
	// Redundant says that there are two copies. With one, a power cut during
	// a write can cost the environment.
	Redundant bool
}

// Open finds the environment whose places the fw_env.config at path names. It
// reads none of it yet, and holds nothing open.
func Open(path string) (*Store, error) {
	s, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("open U-Boot environment: %w", err)
	}
	return s, nil
}

func open(path string) (*Store, error) {
	places, err := ReadConfig(path)
	if err != nil {
		return nil, err
	}
	s := &Store{Redundant: len(places) == 2}
	raw, err := rawFlash(places)
	if err != nil {
		return nil, err
	}
	if raw {
		s.Store = Tools{Config: path}
		return s, nil
	}
	if places, err = locate(places); err != nil {
		return nil, err
	}
	s.Store = locked{files(places), lockPath}
	return s, nil
}
