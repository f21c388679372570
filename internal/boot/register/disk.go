package register

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// Geometry of a register on a disk. A disk writes whole blocks, and a cut may
// spoil the block being written; so each record has a block to itself.
const (
	diskUnit   = 4096
	diskSector = 8 * diskUnit
	// DiskSize is the room that a register takes on a disk, in bytes.
	DiskSize = 2 * diskSector
)

// A Disk is a Flash on a partition or a preallocated plain file.
type Disk struct{ f *os.File }

var _ Flash = (*Disk)(nil)

// mostStrange is how many blocks of a register may hold neither a record nor
// one fill byte all through: what cuts spoil. A cut spoils one.
const mostStrange = 2

// File opens the partition or plain file at path, which has at least DiskSize
// bytes. The register is at its start. Contents that no register has are
// refused, since a register would erase them.
func File(path string) (*Disk, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open register: %w", err)
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil && size < DiskSize {
		err = fmt.Errorf("%s has %d bytes, want %d", path, size, DiskSize)
	}
	d := &Disk{f}
	if err == nil && d.strange() > mostStrange {
		err = fmt.Errorf("%s holds something else; fill its first %d bytes with zeros to use it", path, DiskSize)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open register: %w", err)
	}
	return d, nil
}

// Create makes a plain file for a register at path, blank, and opens it. It
// refuses a file that is there already.
func Create(path string) (*Disk, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create register: %w", err)
	}
	d := &Disk{f}
	if err := d.write(bytes.Repeat([]byte{0xff}, DiskSize), 0); err != nil {
		f.Close()
		return nil, fmt.Errorf("create register: %w", err)
	}
	return d, nil
}

// SectorSize and ProgramUnit are in bytes.
func (d *Disk) SectorSize() int  { return diskSector }
func (d *Disk) ProgramUnit() int { return diskUnit }

func (d *Disk) ReadAt(p []byte, off int64) (int, error) { return d.f.ReadAt(p, off) }
func (d *Disk) Program(p []byte, off int64) error       { return d.write(p, off) }
func (d *Disk) Erase(sector int) error {
	return d.write(bytes.Repeat([]byte{0xff}, diskSector), int64(sector)*diskSector)
}

// strange counts the blocks that no register wrote.
func (d *Disk) strange() (n int) {
	p := make([]byte, diskUnit)
	for off := int64(0); off < DiskSize; off += diskUnit {
		if _, err := d.f.ReadAt(p, off); err != nil {
			continue // unreadable counts as torn, see rule 8
		}
		if string(p[:len(magic)]) != magic && len(bytes.TrimLeft(p, string(p[:1]))) > 0 {
			n++
		}
	}
	return n
}

// Close lets go of the file.
func (d *Disk) Close() error { return d.f.Close() }

func (d *Disk) write(p []byte, off int64) error {
	if _, err := d.f.WriteAt(p, off); err != nil {
		return err
	}
	return d.f.Sync()
}
