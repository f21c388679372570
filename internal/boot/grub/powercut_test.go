package grub_test

import (
	"flag"
	"io"
	"testing"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/boot/boottest"
	"github.com/moult-ota/moult/internal/boot/grub"
	"github.com/moult-ota/moult/internal/boot/variables"
)

var (
	seed = flag.Uint64("seed", 1, "first seed of the power-cut suite")
	cuts = flag.Int("cuts", 20_000/slower, "power cuts to make")
)

// A part is a file on a disk.
type part struct {
	*boottest.Disk
	*io.SectionReader
	off int64
}

func (p part) ReadAt(b []byte, off int64) (int, error)  { return p.SectionReader.ReadAt(b, off) }
func (p part) WriteAt(b []byte, off int64) (int, error) { return p.Disk.WriteAt(b, p.off+off) }
func (p part) Size() int64                              { return p.SectionReader.Size() }

// on is the environment on four parts of d.
func on(d *boottest.Disk) *grub.Disk {
	at := func(n int64) part { return part{d, io.NewSectionReader(d, n*grub.Size, grub.Size), n * grub.Size} }
	return grub.On(grub.Copy{Lock: at(0), Env: at(1)}, grub.Copy{Lock: at(2), Env: at(3)})
}

// blank is a disk with the environment that Create makes.
func blank(t *testing.T) *boottest.Disk {
	t.Helper()
	d := boottest.NewDisk(4 * grub.Size).Clone(boottest.NewPower(nil)).(*boottest.Disk)
	for i, b := range []grub.Block{{"editing=0"}, nil, {"editing=0"}, nil} {
		if _, err := d.WriteAt(block(t, b), int64(i)*grub.Size); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Sync(); err != nil {
		t.Fatal(err)
	}
	return d
}

func block(t *testing.T, b grub.Block) []byte {
	t.Helper()
	p, err := grub.AppendBlock(nil, b)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPowerCuts fails when a cut, at whatever write, can leave a device that
// does not start, or that changes its mind.
func TestPowerCuts(t *testing.T) {
	boottest.Run(t, boottest.Subject{
		Name:  "GRUB environment, twice",
		Blank: blank(t),
		Open: func(s boottest.Storage) (boot.Env, error) {
			d := on(s.(*boottest.Disk))
			if err := d.Settle(); err != nil {
				return nil, err
			}
			return variables.Open(d, variables.Parts{"2", "3"})
		},
	}, boottest.Options{Seed: *seed, Cuts: *cuts, Every: slower, Most: 1})
}
