package virtualmcu_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/moult-ota/moult/internal/virtualmcu"
	"github.com/moult-ota/moult/mcuboot"
)

// A board runs version 1; over USB it is sent version 2, which crashes. Its
// watchdog brings version 1 back.
func Example() {
	public, private, _ := ed25519.GenerateKey(rand.Reader)
	key, _ := mcuboot.NewPublicKey(public)
	one, _ := virtualmcu.Firmware{Version: mcuboot.Version{Major: 1}, Key: private}.Image()
	bad := virtualmcu.Firmware{Version: mcuboot.Version{Major: 2}, Key: private}
	bad.Crash = true
	two, _ := bad.Image()

	said := make(chan string, 10)
	d, _ := virtualmcu.New(virtualmcu.Options{
		Keys: []mcuboot.PublicKey{key}, Image: one, Watchdog: 10 * time.Millisecond,
		Log: func(format string, args ...any) { said <- fmt.Sprintf(format, args...) },
	})
	d.Power(true)

	usb, _ := d.USB().Open()
	usb.Control(0x21, 0, 1000, 0, nil) // DETACH: it leaves, and comes back in DFU mode
	usb, _ = d.USB().Open()
	usb.Control(0x01, 11, 1, 0, nil) // SET_INTERFACE: slot 1
	for block := 0; block*128 < len(two); block++ {
		usb.Control(0x21, 1, uint16(block), 0, two[block*128:min(len(two), block*128+128)])
	}
	usb.Control(0x21, 1, 0xffff, 0, nil)        // DNLOAD of nothing: the end
	usb.Control(0xa1, 3, 0, 0, make([]byte, 6)) // GETSTATUS: then it restarts
	for range 5 {
		fmt.Println(<-said)
	}
	// Output:
	// 1.0.0 runs
	// image came over DFU
	// 2.0.0 crashes
	// watchdog resets
	// 1.0.0 runs
}
