package virtualmcu_test

import (
	"bytes"
	"crypto/ed25519"
	"testing"

	"github.com/moult-ota/moult/internal/virtualmcu"
	"github.com/moult-ota/moult/internal/virtualmcu/flash"
	"github.com/moult-ota/moult/mcuboot"
)

// small is a chip that is swapped in no time.
var small = flash.Geometry{Sector: 1024, Unit: 8, Sectors: 3 + 2*13}

var key = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, 32))

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func public(t *testing.T) mcuboot.PublicKey {
	t.Helper()
	k, err := mcuboot.NewPublicKey(key.Public())
	check(t, err)
	return k
}

func version(major uint8) mcuboot.Version { return mcuboot.Version{Major: major, Minor: 4} }

// image is a firmware of version major.4.0.
func image(t *testing.T, major uint8, h virtualmcu.Habits) []byte {
	t.Helper()
	p, err := virtualmcu.Firmware{Habits: h, Version: version(major), Key: key, Size: 5003}.Image()
	check(t, err)
	return p
}

// board is one that is on and runs version 1.4.0, with change applied.
func board(t *testing.T, change func(*virtualmcu.Options)) *virtualmcu.Device {
	t.Helper()
	f, err := flash.New(small)
	check(t, err)
	o := virtualmcu.Options{Flash: f, Keys: []mcuboot.PublicKey{public(t)}, Image: image(t, 1, virtualmcu.Habits{})}
	if change != nil {
		change(&o)
	}
	d, err := virtualmcu.New(o)
	check(t, err)
	d.Power(true)
	return d
}

// runs wants a version to run, with this swap next.
func runs(t *testing.T, d *virtualmcu.Device, major uint8, next mcuboot.Swap) {
	t.Helper()
	v, answers := d.Running()
	if _, n := d.Slots(); v != version(major) || !answers || n != next {
		t.Fatalf("runs %v, answers %v, next %v; want %d.4.0, next %v", v, answers, n, major, next)
	}
}
