package uboot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// sysBlock has a folder for each block device.
const sysBlock = "/sys/class/block"

// unlocked calls do while the boot partitions of an eMMC, which Linux keeps
// read-only, may be written. Other places need nothing.
func unlocked(places []Place, sys string, do func() error) error {
	for _, p := range places {
		real, err := filepath.EvalSymlinks(p.Path)
		if err != nil {
			return err
		}
		if ok, _ := filepath.Match("mmcblk*boot[01]", filepath.Base(real)); ok {
			do = unlock(filepath.Join(sys, filepath.Base(real), "force_ro"), do)
		}
	}
	return do()
}

// unlock returns do with the file switched off before, and back after.
func unlock(file string, do func() error) func() error {
	return func() error {
		was, err := os.ReadFile(file)
		if err == nil && strings.TrimSpace(string(was)) == "0" {
			return do()
		}
		if err == nil {
			err = os.WriteFile(file, []byte("0"), 0)
		}
		if err != nil {
			return fmt.Errorf("unlock boot partition: %w", err)
		}
		return errors.Join(do(), os.WriteFile(file, was, 0))
	}
}
