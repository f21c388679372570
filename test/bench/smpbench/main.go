// smpbench sends one image by SMP over UDP twice on the same bad line: with
// the window that the child's buffers allow, and stop-and-wait. It fails when
// the window does not pay.
package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/moult-ota/moult/internal/child"
	"github.com/moult-ota/moult/internal/child/smp"
	"github.com/moult-ota/moult/internal/virtualmcu"
	"github.com/moult-ota/moult/internal/virtualmcu/flash"
	"github.com/moult-ota/moult/mcuboot"
)

const (
	size      = 384 << 10 // bytes of the image's payload
	roundTrip = 100 * time.Millisecond
	loss      = 0.05 // of datagrams, in each direction
	target    = 4.0
	seed      = 1
	buffers   = 16
	zephyr    = 2 // buffers by default: a window of one
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "smpbench:", err)
		os.Exit(1)
	}
}

func run() error {
	fmt.Printf("%d KiB, %v round trip, %.0f %% of datagrams lost each way, seed %d\n", size>>10, roundTrip, 100*loss, seed)
	type result struct {
		took time.Duration
		err  error
	}
	ways := []struct {
		name            string
		buffers, window int
	}{{"stop-and-wait", buffers, 1}, {"window", buffers, 0}, {"window, default", zephyr, 0}}
	results := make([]chan result, len(ways))
	for i, w := range ways { // side by side, each on a line of its own
		results[i] = make(chan result, 1)
		go func() {
			took, err := send(w.buffers, w.window)
			results[i] <- result{took, err}
		}()
	}
	took := make([]time.Duration, len(ways))
	for i, w := range ways {
		r := <-results[i]
		if r.err != nil {
			return fmt.Errorf("%s: %w", w.name, r.err)
		}
		took[i] = r.took
		fmt.Printf("%-16s %2d buffers %7.1f s %6.1f KiB/s\n", w.name, w.buffers, r.took.Seconds(), size/1024/r.took.Seconds())
	}
	ratio := took[0].Seconds() / took[1].Seconds()
	fmt.Printf("window against stop-and-wait: %.1f times as fast (target %.0f); with Zephyr's default of %d buffers %.1f\n",
		ratio, target, zephyr, took[0].Seconds()/took[2].Seconds())
	if ratio < target {
		return errors.New("the window does not pay")
	}
	return nil
}

// send sends an image to a board of its own and returns the time of it.
func send(buffers, window int) (time.Duration, error) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	public, err := mcuboot.NewPublicKey(key.Public())
	if err != nil {
		return 0, err
	}
	old, err := firmware(key, 1, 4096)
	if err != nil {
		return 0, err
	}
	im, err := firmware(key, 2, size)
	if err != nil {
		return 0, err
	}
	f, err := flash.New(flash.Geometry{Sector: 4096, Unit: 8, Sectors: 3 + 2*100}) // a K64F's slots are a little too small
	if err != nil {
		return 0, err
	}
	d, err := virtualmcu.New(virtualmcu.Options{Flash: f, Keys: []mcuboot.PublicKey{public}, Image: old.Bytes, BufferSize: 2048, Buffers: buffers})
	if err != nil {
		return 0, err
	}
	d.Power(true)
	server, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return 0, err
	}
	defer server.Close()
	go func() { _ = d.ServeUDP(server) }()
	r, address, err := newRelay(server.LocalAddr().(*net.UDPAddr), roundTrip, loss, seed)
	if err != nil {
		return 0, err
	}
	defer r.close()
	k := smp.New(smp.UDP(address), smp.Options{Window: window, Tries: 8})
	defer k.Close()
	start := time.Now()
	err = k.Send(context.Background(), im, nil)
	return time.Since(start), err
}

func firmware(key ed25519.PrivateKey, major uint8, size int) (im child.Image, err error) {
	text, err := virtualmcu.Firmware{Version: mcuboot.Version{Major: major}, Key: key, Size: size}.Image()
	if err != nil {
		return im, err
	}
	parsed, _, err := mcuboot.Parse(text)
	if err != nil {
		return im, err
	}
	return child.Image{Bytes: text, Version: parsed.Header.Version, Hash: [32]byte(parsed.Hash())}, nil
}
