package smp_test

import (
	"bytes"
	"crypto/ed25519"
	"net"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/child"
	"github.com/moult-ota/moult/internal/child/childtest"
	"github.com/moult-ota/moult/internal/child/smp"
	"github.com/moult-ota/moult/internal/virtualmcu"
	"github.com/moult-ota/moult/internal/virtualmcu/flash"
	"github.com/moult-ota/moult/mcuboot"
)

// small is a chip that is swapped in no time.
var small = flash.Geometry{Sector: 1024, Unit: 8, Sectors: 3 + 2*13}

var key = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, 32))

// quick are times for a child that takes none.
var quick = smp.Options{Timeout: 150 * time.Millisecond, Erase: 2 * time.Second, Tries: 8, Down: 100 * time.Millisecond}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func image(t *testing.T, major uint8, size int) child.Image {
	t.Helper()
	p, err := virtualmcu.Firmware{Version: mcuboot.Version{Major: major}, Key: key, Size: size}.Image()
	check(t, err)
	return childtest.MustImage(p)
}

// board is a virtual one that runs version 1.
func board(t *testing.T, change func(*virtualmcu.Options)) *virtualmcu.Device {
	t.Helper()
	f, err := flash.New(small)
	check(t, err)
	public, err := mcuboot.NewPublicKey(key.Public())
	check(t, err)
	o := virtualmcu.Options{Flash: f, Keys: []mcuboot.PublicKey{public}, Image: image(t, 1, 5003).Bytes}
	o.Reset = 30 * time.Millisecond // as boards: a request that comes twice resets once
	if change != nil {
		change(&o)
	}
	d, err := virtualmcu.New(o)
	check(t, err)
	d.Power(true)
	return d
}

// A way is a transport to a board.
type way func(*testing.T, *virtualmcu.Device) func() (smp.Transport, error)

var ways = map[string]way{"udp": overUDP, "serial": overSerial}

func overUDP(t *testing.T, d *virtualmcu.Device) func() (smp.Transport, error) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	check(t, err)
	done := make(chan error)
	go func() { done <- d.ServeUDP(conn) }()
	t.Cleanup(func() {
		conn.Close()
		check(t, <-done)
	})
	return smp.UDP(conn.LocalAddr().String())
}

func overSerial(t *testing.T, d *virtualmcu.Device) func() (smp.Transport, error) {
	pty, err := virtualmcu.OpenPTY()
	check(t, err)
	done := make(chan error)
	go func() { done <- d.ServeSerial(pty) }()
	t.Cleanup(func() {
		pty.Close()
		<-done
	})
	return smp.Serial(pty.Path, 0)
}
