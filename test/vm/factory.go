package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// factory makes a disk as it leaves the factory: a release in slot A, which
// moult-agent provision put there, and an empty file system for data.
func (d *desk) factory(r release) (*disk, error) {
	if err := d.pack(r); err != nil {
		return nil, err
	}
	dir := d.path("factory")
	if err := os.MkdirAll(dir+"/empty", 0o755); err != nil {
		return nil, err
	}
	told, err := d.board.factory(d, dir)
	if err != nil {
		return nil, err
	}
	if err := d.provision(r, dir, told); err != nil {
		return nil, err
	}
	if _, err := os.Stat(dir + "/files"); err == nil {
		if err := ext4(dir+"/boot", d.board.parts()[0].size, dir+"/files", unsummed); err != nil {
			return nil, err
		}
	}
	if err := ext4(dir+"/moult-data", dataSize, dir+"/empty", unsummed); err != nil {
		return nil, err
	}
	disk, err := newDisk(d.path("disk"), d.board.parts())
	if err == nil {
		err = d.fill(disk, dir)
	}
	if err == nil {
		err = d.board.install(d, disk)
	}
	return disk, err
}

// provision lets the agent write the first image, into files that stand for
// the partitions.
func (d *desk) provision(r release, dir string, told []string) error {
	agent, err := filepath.Abs(d.parts.bin + "/moult-agent")
	if err != nil {
		return err
	}
	args := append([]string{
		"provision", "--device-type", "vm", "--state-dir", dir + "/state", "--verify-keys", d.path("release.pub"),
		"--slot-a", dir + "/moult-a", "--slot-b", dir + "/moult-b",
	}, told...)
	for _, name := range []string{"/moult-a", "/moult-b"} {
		f, err := os.Create(dir + name)
		if err == nil {
			err = errors.Join(f.Truncate(slotSize*mib), f.Close())
		}
		if err != nil {
			return err
		}
	}
	_, err = run(dir, agent, append(args, d.path(r.name+".mender"))...)
	return err
}

// fill copies what the factory made into the partitions.
func (d *desk) fill(disk *disk, dir string) error {
	for name, part := range disk.parts {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if int64(len(text)) > part.Size {
			return fmt.Errorf("fill partition %s: %d bytes are too many", name, len(text))
		}
		if err := disk.fill(name, text); err != nil {
			return err
		}
	}
	return nil
}
