// Package sbl is the secondary boot loader moult-sbl: a Linux program that is
// the init of a small boot kernel, decides which slot starts, and starts it
// with kexec. The decision is package boot's; here is what surrounds it on a
// board: the disk, the modules, the watchdog, the console.
//
//	firmware → boot kernel + moult-sbl → kexec → kernel and initrd of slot A | B
//
// Its promise: nothing of a slot is used before all of the slot's image was
// read and matched its descriptor and the boot register; and a trial is
// counted down, and that is stored, before the jump.
package sbl

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/sbl/gpt"
	"github.com/moult-ota/moult/internal/slot"
)

// A board is a disk whose register and slots were found.
type board struct {
	disk   string // device, or file with a disk's image
	device bool   // partitions are devices of their own
	parts  map[slot.Slot]gpt.Partition
	state  gpt.Partition
}

// ErrPartition means that a disk lacks a partition, or has two of one name.
var ErrPartition = errors.New("partition is missing or not the only one of its name")

// find reads the partition table of a disk, or of the image of one.
func find(o Options) (board, error) {
	f, err := os.Open(o.Disk)
	if err != nil {
		return board{}, fmt.Errorf("open disk: %w", err)
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return board{}, fmt.Errorf("size disk: %w", err)
	}
	parts, err := gpt.Read(f, size)
	if err != nil {
		return board{}, fmt.Errorf("look at %s: %w", o.Disk, err)
	}
	fi, err := f.Stat()
	b := board{disk: o.Disk, device: err == nil && fi.Mode()&os.ModeDevice != 0, parts: map[slot.Slot]gpt.Partition{}}
	var missing [3]error
	b.state, missing[0] = only(parts, o.Prefix+"-register")
	b.parts[slot.A], missing[1] = only(parts, o.Prefix+"-a")
	b.parts[slot.B], missing[2] = only(parts, o.Prefix+"-b")
	return b, errors.Join(missing[:]...)
}

func only(parts []gpt.Partition, name string) (gpt.Partition, error) {
	is := func(p gpt.Partition) bool { return p.Name == name }
	i := slices.IndexFunc(parts, is)
	if i < 0 || slices.ContainsFunc(parts[i+1:], is) {
		return gpt.Partition{}, fmt.Errorf("look for %s: %w", name, ErrPartition)
	}
	return parts[i], nil
}

// path is the device of a partition: sda2, but mmcblk0p2.
func (b board) path(p gpt.Partition) string {
	if last := b.disk[len(b.disk)-1]; last >= '0' && last <= '9' {
		return b.disk + "p" + strconv.Itoa(p.Number)
	}
	return b.disk + strconv.Itoa(p.Number)
}

// open opens a slot to read.
func (b board) open(s slot.Slot) (slot.File, error) {
	p, ok := b.parts[s]
	if !ok {
		return nil, fmt.Errorf("open slot %v: %w", s, boot.ErrSlot)
	}
	f, err := b.section(p)
	if err != nil {
		return nil, fmt.Errorf("open slot %v: %w", s, err)
	}
	return f, nil
}

// section opens a partition to read, whether it is a device or part of a file.
func (b board) section(p gpt.Partition) (section, error) {
	path, start := b.disk, p.Start
	if b.device {
		path, start = b.path(p), 0
	}
	f, err := os.Open(path)
	return section{io.NewSectionReader(f, start, p.Size), f}, err
}

// A section is a slot.File that cannot be written.
type section struct {
	*io.SectionReader
	f *os.File
}

var errReadOnly = errors.New("a loader does not write slots")

func (s section) Close() error                       { return s.f.Close() }
func (s section) Size() (int64, error)               { return s.SectionReader.Size(), nil }
func (s section) Sync() error                        { return nil }
func (s section) WriteAt([]byte, int64) (int, error) { return 0, errReadOnly }

// look checks slots, and tells says what it found. verify may be nil.
func (b board) look(verify func(slot.Descriptor) error, says func(slot.Slot, slot.Descriptor, error)) boot.Check {
	return func(s slot.Slot) (boot.Image, error) {
		var d slot.Descriptor
		im, err := boot.CheckSlots(b.open, func(x slot.Descriptor) error {
			d = x
			if verify == nil {
				return nil
			}
			return verify(x)
		})(s)
		says(s, d, err)
		return im, err
	}
}
