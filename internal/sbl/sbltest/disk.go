// Package sbltest makes disks as they leave a factory: a partition table, a
// boot register, and images in slots.
package sbltest

import (
	"crypto/sha256"
	"fmt"
	"os"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/boot/register"
	"github.com/moult-ota/moult/internal/sbl/gpt"
	"github.com/moult-ota/moult/internal/slot"
)

const mib = 1 << 20

// A Disk is a file with the image of a disk.
type Disk struct {
	Path  string
	Parts map[string]gpt.Partition // by name, without "moult-"
}

// Make creates a disk with partitions for the register, two slots of slotSize
// bytes and data of dataSize bytes, all blank.
func Make(path string, slotSize, dataSize int64) (*Disk, error) {
	d := &Disk{path, map[string]gpt.Partition{}}
	var parts []gpt.Partition
	end := int64(mib)
	for i, p := range []gpt.Partition{{Name: "register", Size: mib}, {Name: "a", Size: slotSize}, {Name: "b", Size: slotSize}, {Name: "data", Size: dataSize}} {
		name := p.Name
		p.Number, p.Start, p.Name = i+1, end, "moult-"+p.Name
		id := sha256.Sum256([]byte(p.Name))
		p.ID = [16]byte(id[:16])
		end += (p.Size + mib - 1) &^ (mib - 1)
		d.Parts[name], parts = p, append(parts, p)
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("make disk: %w", err)
	}
	defer f.Close()
	if err := f.Truncate(end + mib); err != nil {
		return nil, fmt.Errorf("make disk: %w", err)
	}
	return d, gpt.Write(f, end+mib, [16]byte{0xd1, 0x5c}, parts)
}

// Fill writes bytes at the start of a partition.
func (d *Disk) Fill(part string, p []byte) error {
	f, err := d.open(part)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteAt(p, 0)
	return err
}

// Install writes an image into a slot, as an agent would, and returns what
// the boot register has to say of it.
func (d *Disk) Install(part string, image []byte, desc slot.Descriptor) (boot.Image, error) {
	f, err := d.open(part)
	if err != nil {
		return boot.Image{}, err
	}
	defer f.Close()
	w, err := slot.NewWriter(f, int64(len(image)))
	if err == nil {
		_, err = w.Write(image)
	}
	desc.Length, desc.SHA256 = int64(len(image)), sha256.Sum256(image)
	if err == nil {
		err = w.Finish(desc)
	}
	return boot.ImageOf(desc), err
}

// Register writes v where the loader finds it.
func (d *Disk) Register(v boot.Vars) error {
	path := d.Path + ".register"
	flash, err := register.Create(path)
	if err != nil {
		return err
	}
	defer os.Remove(path)
	defer flash.Close()
	r, err := register.Open(flash)
	if err == nil {
		err = r.Save(v)
	}
	if err != nil {
		return err
	}
	p, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return d.Fill("register", p)
}

// Flip changes one bit of a partition.
func (d *Disk) Flip(part string, off int64) error {
	f, err := d.open(part)
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

func (d *Disk) open(part string) (partition, error) {
	p, ok := d.Parts[part]
	if !ok {
		return partition{}, fmt.Errorf("open partition: no %s", part)
	}
	f, err := os.OpenFile(d.Path, os.O_RDWR, 0)
	return partition{f, p}, err
}

// A partition is a slot.File in the image of a disk.
type partition struct {
	f *os.File
	p gpt.Partition
}

func (p partition) ReadAt(b []byte, off int64) (int, error)  { return p.f.ReadAt(b, p.p.Start+off) }
func (p partition) WriteAt(b []byte, off int64) (int, error) { return p.f.WriteAt(b, p.p.Start+off) }
func (p partition) Sync() error                              { return nil }
func (p partition) Size() (int64, error)                     { return p.p.Size, nil }
func (p partition) Close() error                             { return p.f.Close() }
