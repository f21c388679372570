package agenttest

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"

	"github.com/moult-ota/moult/internal/boot"
)

// sector is what a disk stores at once, in bytes.
const sector = 512

// transfer is how much goes to the disk in one operation, in bytes.
const transfer = 8 << 10

// A disk is a slot behind a write cache: a cut leaves each sector that was not
// synced old, new or torn.
type disk struct {
	power  *Power
	stored []byte
	cached []byte
	spoilt bool // what is read back differs from what was written
}

func newDisk(p *Power, size int) *disk {
	d := &disk{power: p, stored: make([]byte, size), cached: make([]byte, size)}
	p.lose = append(p.lose, d.lose)
	return d
}

func (d *disk) ReadAt(p []byte, off int64) (int, error) {
	if d.power.off {
		return 0, ErrPower
	}
	return bytes.NewReader(d.cached).ReadAt(p, off)
}

func (d *disk) WriteAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > int64(len(d.cached)) {
		return 0, io.ErrShortWrite
	}
	for at := 0; at < len(p); at += transfer {
		part := p[at:min(at+transfer, len(p))]
		if err := d.power.do("disk write", func() { d.put(part, off+int64(at)) }); err != nil {
			return at, err
		}
	}
	return len(p), nil
}

func (d *disk) put(p []byte, off int64) {
	copy(d.cached[off:], p)
	if d.spoilt && off == 0 { // in the image, not in what describes it
		d.cached[0] ^= 1
	}
}

func (d *disk) Sync() error          { return d.power.do("disk sync", func() { copy(d.stored, d.cached) }) }
func (d *disk) Size() (int64, error) { return int64(len(d.cached)), nil }
func (d *disk) Close() error         { return nil }

func (d *disk) lose(rng *rand.Rand) {
	for at := 0; at < len(d.stored); at += sector {
		old, now := d.stored[at:at+sector], d.cached[at:at+sector]
		if !bytes.Equal(old, now) {
			copy(old, now[:rng.IntN(3)*sector/2]) // none, half or all of it
		}
	}
	copy(d.cached, d.stored)
}

// A store is an agent.Store that replaces its value atomically.
type store struct {
	power *Power
	kind  string
	value []byte
}

func (s *store) Load() ([]byte, error) {
	if s.power.off {
		return nil, ErrPower
	}
	return s.value, nil
}

func (s *store) Save(b []byte) error {
	return s.power.do(s.kind, func() { s.value = bytes.Clone(b) })
}

// An env is a boot.Env that replaces its Vars atomically. saved, when not nil,
// sees every change.
type env struct {
	power *Power
	vars  boot.Vars
	saved func(old, now boot.Vars)
	good  int // saves that work before
	fails int // so many fail
}

func (e *env) Load() (boot.Vars, error) {
	if e.power.off {
		return boot.Vars{}, ErrPower
	}
	return e.vars, nil
}

func (e *env) Save(v boot.Vars) error {
	if e.good > 0 {
		e.good--
	} else if e.fails > 0 {
		e.fails--
		return errors.New("register is worn out")
	}
	return e.power.do("register save", func() {
		if e.saved != nil {
			e.saved(e.vars, v)
		}
		e.vars = v
	})
}
