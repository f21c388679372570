package boottest

import (
	"fmt"
	"io"
	"slices"
)

// diskBlock is what a disk writes at once, in bytes.
const diskBlock = 512

// A Disk is a simulated disk behind a write cache, for slots and for boot
// environments kept in files. It implements slot.File. Each WriteAt and each
// Sync is one operation. At a cut each block that was written and not synced
// is old, new, torn or spoilt, independent of all others.
type Disk struct {
	bytes []byte
	old   map[int][]byte // block number → its bytes when it was last synced
	power *Power
}

// NewDisk returns a disk of zeros. It has no power until it is cloned onto one.
func NewDisk(size int) *Disk { return &Disk{bytes: make([]byte, size)} }

// Clone returns the same disk, with all that was written, on another power.
func (d *Disk) Clone(p *Power) Storage {
	c := &Disk{bytes: slices.Clone(d.bytes), old: map[int][]byte{}, power: p}
	p.lose = append(p.lose, c.lose)
	return c
}

// Close does nothing.
func (d *Disk) Close() error { return nil }

// Size returns the length of the disk in bytes.
func (d *Disk) Size() (int64, error) { return int64(len(d.bytes)), nil }

// ReadAt reads what was written, synced or not.
func (d *Disk) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off > int64(len(d.bytes)) {
		return 0, fmt.Errorf("read disk at %d: beyond its end", off)
	}
	n := copy(p, d.bytes[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt writes into the cache.
func (d *Disk) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off+int64(len(p)) > int64(len(d.bytes)) {
		return 0, fmt.Errorf("write disk at %d: beyond its end", off)
	}
	ends := d.power.cuts()
	for b := int(off) / diskBlock; b*diskBlock < int(off)+len(p); b++ {
		if _, dirty := d.old[b]; !dirty {
			d.old[b] = slices.Clone(d.block(b))
		}
	}
	copy(d.bytes[off:], p)
	if ends {
		d.power.end()
	}
	return len(p), nil
}

// Sync stores the cache.
func (d *Disk) Sync() error {
	if d.power.cuts() {
		d.power.end()
	}
	clear(d.old)
	return nil
}

// Spoil changes a byte of the disk, as wear does.
func (d *Disk) Spoil(off int) { d.bytes[off] ^= 0x40 }

func (d *Disk) block(b int) []byte {
	return d.bytes[b*diskBlock : min((b+1)*diskBlock, len(d.bytes))]
}

// lose is what a cut does to the cache. Blocks go in order, so that a seed
// gives the same cut again.
func (d *Disk) lose(how Regime) {
	dirty := make([]int, 0, len(d.old))
	for b := range d.old {
		dirty = append(dirty, b)
	}
	slices.Sort(dirty)
	rng := d.power.Rand
	for _, b := range dirty {
		now, old := d.block(b), d.old[b]
		switch {
		case how == Done:
		case how == Untouched:
			copy(now, old)
		case how == Unstable && rng.IntN(4) == 0:
			spoil(now, rng.Uint32)
		case rng.IntN(4) == 0:
			tear := rng.IntN(len(now))
			copy(now[tear:], old[tear:])
		case rng.IntN(2) == 0:
			copy(now, old)
		}
	}
	clear(d.old)
}

func spoil(p []byte, next func() uint32) {
	for i := range p {
		p[i] = byte(next())
	}
}
