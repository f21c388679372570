package register_test

import (
	"flag"
	"testing"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/boot/boottest"
	"github.com/moult-ota/moult/internal/boot/register"
)

var (
	seed = flag.Uint64("seed", 1, "first seed of the power-cut suite")
	cuts = flag.Int("cuts", 110_000/slower, "power cuts to make on each kind of flash, of four")
)

// TestPowerCuts fails when a cut, at whatever write, can leave a device that
// does not start, or that changes its mind.
func TestPowerCuts(t *testing.T) {
	for _, s := range subjects() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			boottest.Run(t, s, boottest.Options{Seed: *seed, Cuts: *cuts, Every: slower, Most: 1})
		})
	}
}

// subjects are registers on the kinds of flash that differ in what a cut does.
func subjects() []boottest.Subject {
	checked := boottest.NewNOR(16*64, 32)
	checked.ECC = true
	return []boottest.Subject{
		subject("units of 8 bytes", boottest.NewNOR(8*64, 8)),
		subject("large sectors", boottest.NewNOR(20*64, 16)),
		subject("checksummed units of 32 bytes", checked),
		subject("blocks, as on a disk", boottest.NewNOR(8*256, 256)),
	}
}

func subject(name string, blank *boottest.NOR) boottest.Subject {
	return boottest.Subject{Name: name, Blank: blank, Open: func(s boottest.Storage) (boot.Env, error) {
		return register.Open(s.(*boottest.NOR))
	}}
}
