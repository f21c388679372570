package systemdboot_test

import (
	"flag"
	"testing"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/boot/boottest"
	"github.com/moult-ota/moult/internal/boot/systemdboot"
	"github.com/moult-ota/moult/internal/slot"
)

var (
	seed = flag.Uint64("seed", 1, "first seed of the power-cut suite")
	cuts = flag.Int("cuts", 20_000/slower, "power cuts to make")
)

func blank() *boottest.Folder {
	return boottest.NewFolder(map[string]string{
		"loader/moult/a.conf":         entry[slot.A],
		"loader/moult/b.conf":         entry[slot.B],
		"loader/entries/other.conf":   "title not ours\n",
		"loader/entries/moult-x.conf": "title not ours either\n",
	})
}

// TestPowerCuts fails when a cut, at whatever write, can leave a device that
// does not start, or that changes its mind.
func TestPowerCuts(t *testing.T) {
	boottest.Run(t, boottest.Subject{
		Name:  "systemd-boot entries",
		Blank: blank(),
		Open: func(s boottest.Storage) (boot.Env, error) {
			return systemdboot.New(s.(*boottest.Folder), slot.None), nil
		},
	}, boottest.Options{Seed: *seed, Cuts: *cuts, Every: slower, Most: 1})
}
