//go:build vm

package main

import "os"

// flip changes one bit of a partition.
func (d *disk) flip(part string, off int64) error {
	return flipAt(d.path, d.parts[part].Start+off)
}

func flipAt(path string, off int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var p [1]byte
	if _, err := f.ReadAt(p[:], off); err != nil {
		return err
	}
	p[0] ^= 4
	_, err = f.WriteAt(p[:], off)
	return err
}
