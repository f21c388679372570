package uboot

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/moult-ota/moult/internal/boot/variables"
)

// block is what a disk may spoil together, in bytes: Linux writes pages.
const block = 4096

// ubiDevice begins the names of UBI devices and volumes: /dev/ubi0_1, or
// /dev/ubi0:env, which is no file.
const ubiDevice = "/dev/ubi"

// rawFlash reports whether the places are MTD or UBI.
func rawFlash(places []Place) (bool, error) {
	for _, p := range places {
		if strings.HasPrefix(p.Path, ubiDevice) {
			return true, nil
		}
		fi, err := os.Stat(p.Path)
		if err != nil {
			return false, err
		}
		if fi.Mode()&fs.ModeCharDevice != 0 {
			return true, nil
		}
	}
	return false, nil
}

// locate returns the places with offsets from the beginning. It wants them on
// what their paths name, and no block in both.
func locate(places []Place) ([]Place, error) {
	var at []Place
	var on []fs.FileInfo
	for _, p := range places {
		f, err := os.Open(p.Path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		fi, err := f.Stat()
		if err != nil {
			return nil, err
		}
		end, err := f.Seek(0, io.SeekEnd) // a partition's length is not in its Stat
		if err != nil {
			return nil, err
		}
		if p.Offset < 0 {
			p.Offset += end
		}
		if p.Offset < 0 || p.Offset+int64(p.Size) > end {
			return nil, fmt.Errorf("%s has %d bytes, no place for 0x%x at %d", p.Path, end, p.Size, p.Offset)
		}
		at, on = append(at, p), append(on, fi)
	}
	if len(at) == 2 && os.SameFile(on[0], on[1]) && at[0].end() > at[1].start() && at[1].end() > at[0].start() {
		return nil, fmt.Errorf("both copies share a block of %d bytes: a power cut could cost both; move one in U-Boot and in fw_env.config", block)
	}
	return at, nil
}

// start and end are those of the blocks that the copy touches.
func (p Place) start() int64 { return p.Offset / block * block }
func (p Place) end() int64   { return (p.Offset + int64(p.Size) + block - 1) / block * block }

// files is a variables.Store in places that locate returned. They are open
// only while used, and for writing only to write: udev looks anew at a disk
// that somebody closes who could have written.
type files []Place

func (f files) Read() (s variables.Set, err error) {
	err = f.with(os.O_RDONLY, func(d *Disk) error { s, err = d.Read(); return err })
	return s, err
}

func (f files) Write(s variables.Set) error {
	return unlocked(f, sysBlock, func() error {
		return f.with(os.O_RDWR, func(d *Disk) error { return d.Write(s) })
	})
}

func (f files) with(flag int, do func(*Disk) error) error {
	var spots []Spot
	for _, p := range f {
		o, err := os.OpenFile(p.Path, flag, 0)
		if err != nil {
			return err
		}
		defer o.Close() // what was written is synced
		spots = append(spots, Spot{o, p.Offset})
	}
	return do(On(f[0].Size, spots...))
}
