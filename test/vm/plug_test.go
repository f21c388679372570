//go:build vm

package main

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestPlug: what was flushed stays, of the rest as much as keep says, and the
// machine reads what it wrote meanwhile.
func TestPlug(t *testing.T) {
	disk, err := newDisk(t.TempDir()+"/disk", []part{{"p", 1}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := newPlug(disk, t.TempDir()+"/socket")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	write := func(b byte) {
		if err := p.write(bytes.Repeat([]byte{b}, 8*sectorSize), mib); err != nil {
			t.Fatal(err)
		}
	}
	count := func(b byte) int {
		got := make([]byte, 8*sectorSize)
		if err := p.read(got, mib); err != nil {
			t.Fatal(err)
		}
		return bytes.Count(got, []byte{b}) / sectorSize
	}
	write('a')
	if err := p.flush(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		keep        float64
		least, most int // sectors that stay
	}{{0, 0, 0}, {0.5, 1, 7}, {1, 8, 8}} {
		write('b')
		if n := count('b'); n != 8 {
			t.Errorf("the machine reads %d of 8 sectors that it wrote", n)
		}
		had, kept, err := p.cut(rand.New(rand.NewPCG(1, 1)), tt.keep)
		if n := count('b'); err != nil || had != 8 || kept != n || n < tt.least || n > tt.most {
			t.Errorf("cut(keep %v) = %d, %d, %v; the disk has %d, want %d to %d", tt.keep, had, kept, err, n, tt.least, tt.most)
		}
		write('a')
		if err := p.flush(); err != nil {
			t.Fatal(err)
		}
	}
	p.set(trap{from: mib/sectorSize + 2, to: mib/sectorSize + 6, writes: 3})
	if err := p.write(bytes.Repeat([]byte{'c'}, 8*sectorSize), mib); err != errTripped || !p.gone() || count('c') != 5 {
		t.Errorf("a trap at the third sector from 2 on: %v, gone %v, %d sectors written; want 5", err, p.gone(), count('c'))
	}
}
