package uboot_test

import (
	"flag"
	"math/rand/v2"
	"testing"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/boot/boottest"
	"github.com/moult-ota/moult/internal/boot/uboot"
	"github.com/moult-ota/moult/internal/boot/variables"
)

var (
	seed = flag.Uint64("seed", 1, "first seed of the power-cut suite")
	cuts = flag.Int("cuts", 30_000/slower, "power cuts to make on each disk, of two")
)

// TestPowerCuts fails when a cut, at whatever write, can leave a device that
// does not start, or that changes its mind.
func TestPowerCuts(t *testing.T) {
	for _, s := range []boottest.Subject{
		subject(t, "two copies", 1024, 0, 1024),
		subject(t, "two copies that no block begins with", 1000, 100, 1600),
	} {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			boottest.Run(t, s, boottest.Options{Seed: *seed, Cuts: *cuts, Every: slower, Most: 1})
		})
	}
}

// TestSingleCopyCanBeLost is why Redundant is there: FORMAT.md and the agent
// say what is shown here.
func TestSingleCopyCanBeLost(t *testing.T) {
	lost := false
	boottest.Play(subject(t, "one copy", 1024, 0), boottest.Options{Cuts: 10_000, Most: 1}, func(v boottest.Violation) { lost = true })
	if !lost {
		t.Error("no cut lost a single copy: then FORMAT.md warns of nothing")
	}
}

// subject is an environment that U-Boot saved once, in copies at the offsets.
func subject(t *testing.T, name string, size int, offsets ...int64) boottest.Subject {
	t.Helper()
	blank := boottest.NewDisk(4096).Clone(boottest.NewPower(rand.New(rand.NewPCG(1, 1)))).(*boottest.Disk)
	saved, err := uboot.AppendCopy(nil, uboot.Copy{Set: variables.Set{"bootcmd": "run it", "bootdelay": "2"}, Counter: 250}, size, len(offsets) == 2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := blank.WriteAt(saved, offsets[0]); err != nil {
		t.Fatal(err)
	}
	return boottest.Subject{Name: name, Blank: blank, Open: func(s boottest.Storage) (boot.Env, error) {
		var spots []uboot.Spot
		for _, off := range offsets {
			spots = append(spots, uboot.Spot{Device: s.(*boottest.Disk), Offset: off})
		}
		return variables.Open(uboot.On(size, spots...), variables.Parts{"2", "3"})
	}}
}
