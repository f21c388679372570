package sim

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
)

// sector is the unit in which a cut loses unsynced writes.
const sector = 4096

// A Disk is a slot's storage on a real file, with a write cache that a power
// cut loses in part: each unsynced sector is then old, new, or torn in the
// middle.
type Disk struct {
	power *Power
	rng   *rand.Rand
	file  *os.File
	dirty map[int64][]byte // sector number → its bytes before the first unsynced write
}

// OpenDisk opens the file at path as a disk of size bytes, made when missing.
func OpenDisk(p *Power, rng *rand.Rand, path string, size int64) (*Disk, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open disk: %w", err)
	}
	if err := f.Truncate(size); err != nil {
		f.Close()
		return nil, fmt.Errorf("size disk: %w", err)
	}
	d := &Disk{power: p, rng: rng, file: f, dirty: map[int64][]byte{}}
	p.onCut(d.lose)
	return d, nil
}

// ReadAt reads what was written, synced or not, as a page cache would.
func (d *Disk) ReadAt(b []byte, off int64) (n int, err error) {
	err = d.power.do(func() error { n, err = d.file.ReadAt(b, off); return err })
	return n, err
}

// WriteAt writes into the cache.
func (d *Disk) WriteAt(b []byte, off int64) (n int, err error) {
	err = d.power.do(func() error {
		if err := d.remember(off, int64(len(b))); err != nil {
			return err
		}
		n, err = d.file.WriteAt(b, off)
		return err
	})
	return n, err
}

// remember keeps the old bytes of the sectors that a write touches.
func (d *Disk) remember(off, n int64) error {
	for s := off / sector; s*sector < off+n; s++ {
		if _, ok := d.dirty[s]; ok {
			continue
		}
		old := make([]byte, sector)
		if _, err := d.file.ReadAt(old, s*sector); err != nil && err != io.EOF {
			return err
		}
		d.dirty[s] = old
	}
	return nil
}

// Sync makes everything written so far survive a cut.
func (d *Disk) Sync() error {
	return d.power.do(func() error { clear(d.dirty); return nil })
}

// Size is the disk's capacity in bytes.
func (d *Disk) Size() (int64, error) {
	fi, err := d.file.Stat()
	if err != nil {
		return 0, err
	}
	return fi.Size(), nil
}

// Close does nothing: a disk stays until the power goes, and so does its cache.
func (d *Disk) Close() error { return nil }

// detach closes the file below, after a life.
func (d *Disk) detach() error { return d.file.Close() }

// lose takes unsynced sectors back, wholly, half, or not at all.
func (d *Disk) lose() {
	for _, s := range slices.Sorted(maps.Keys(d.dirty)) { // in order, so that a seed replays
		old, keep := d.dirty[s], 0
		switch d.rng.IntN(3) {
		case 0:
			continue // it reached the disk
		case 1:
			keep = d.rng.IntN(sector) // torn
		}
		d.file.WriteAt(old[keep:], s*sector+int64(keep))
	}
	clear(d.dirty)
}
