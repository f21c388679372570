package mcu_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/child"
	"github.com/moult-ota/moult/internal/child/childtest"
	"github.com/moult-ota/moult/internal/child/dfu"
	"github.com/moult-ota/moult/internal/child/dfu/dfutest"
	"github.com/moult-ota/moult/internal/child/smp"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/virtualmcu"
	"github.com/moult-ota/moult/internal/virtualmcu/flash"
	"github.com/moult-ota/moult/mcuboot"
)

// These tests are those of powercut_test.go over the driver for SMP and a
// virtual microcontroller: its flash, MCUboot's decision, and datagrams.

// chip is swapped in no time.
var chip = flash.Geometry{Sector: 1024, Unit: 8, Sectors: 3 + 2*13}

func firmware(t *testing.T, major uint8, h virtualmcu.Habits) child.Image {
	t.Helper()
	text, err := virtualmcu.Firmware{Habits: h, Version: mcuboot.Version{Major: major}, Key: childtest.Key, Size: 4000}.Image()
	if err != nil {
		t.Fatal(err)
	}
	return childtest.MustImage(text)
}

// A door is a way to a board.
type door func(*testing.T, *virtualmcu.Device) child.Child

// overSMP is for boards that tell hashes, and are confirmed by their host.
var overSMP = map[string]door{
	"udp":    func(t *testing.T, d *virtualmcu.Device) child.Child { return overTransport(udp(t, d)) },
	"serial": func(t *testing.T, d *virtualmcu.Device) child.Child { return overTransport(serial(t, d)) },
}

func overTransport(open func() (smp.Transport, error)) child.Child {
	return smp.New(open, smp.Options{Timeout: 40 * time.Millisecond, Erase: 200 * time.Millisecond, Tries: 2, Down: 30 * time.Millisecond})
}

// overUSB is for boards that tell their version alone, and confirm themselves.
var overUSB = map[string]door{"dfu": func(t *testing.T, d *virtualmcu.Device) child.Child {
	t.Helper()
	bus := &dfutest.Bus{}
	bus.Plug("1-1", d.USB())
	c, err := dfu.New(dfu.Options{
		Match: dfu.Match{Port: "1-1"}, Bus: bus, Leave: time.Second, Busy: time.Second,
		Restart: func(context.Context) error { d.Reset(); return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}}

func udp(t *testing.T, d *virtualmcu.Device) func() (smp.Transport, error) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- d.ServeUDP(conn) }()
	t.Cleanup(func() {
		conn.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return smp.UDP(conn.LocalAddr().String())
}

func serial(t *testing.T, d *virtualmcu.Device) func() (smp.Transport, error) {
	t.Helper()
	pty, err := virtualmcu.OpenPTY()
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- d.ServeSerial(pty) }()
	t.Cleanup(func() {
		pty.Close()
		<-served
	})
	return smp.Serial(pty.Path, 0)
}

// A board is a virtual one, and the world of its gateway.
type board struct {
	*world
	device *virtualmcu.Device
}

// newBoard returns a board behind a gateway that is cut at operation at. The
// board's own power is cut at flash operation chipAt; 0 for never.
func newBoard(t *testing.T, door door, at, chipAt int, next child.Image, change func(*virtualmcu.Options)) *board {
	t.Helper()
	old := boardOld(t)
	f, err := flash.New(chip)
	if err != nil {
		t.Fatal(err)
	}
	o := virtualmcu.Options{
		Flash: f, Image: old.Bytes, Keys: []mcuboot.PublicKey{childtest.PublicKey()},
		Back: 2 * time.Millisecond, Watchdog: 20 * time.Millisecond,
	}
	if change != nil {
		change(&o)
	}
	d, err := virtualmcu.New(o)
	if err != nil {
		t.Fatal(err)
	}
	driver := door(t, d)
	t.Cleanup(func() {
		driver.Close()
		d.Power(false)
	})
	d.Power(true)
	w := newWorld(at, uint64(at), pack(next, nil))
	w.old, w.next, w.bus, w.nap = old, next, driver, time.Millisecond
	b := &board{w, d}
	w.truth = b.truth
	if chipAt > 0 {
		d.CutAt(flash.Cut{At: chipAt, Torn: chipAt%2 == 1, Seed: uint64(chipAt)})
	}
	return b
}

var boardOld = func() func(*testing.T) child.Image {
	var once sync.Once
	var image child.Image
	return func(t *testing.T) child.Image {
		once.Do(func() { image = firmware(t, 1, virtualmcu.Habits{}) })
		return image
	}
}()

// truth reads the chip as a programmer's probe does.
func (b *board) truth() (image child.Image, confirmed bool) {
	for range 200 { // a power cut may just be over
		if _, answers := b.device.Running(); answers {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	slots, swap := b.device.Slots()
	if slots[0].Image == nil {
		return image, false
	}
	image.Hash, image.Version = [32]byte(slots[0].Image.Hash()), slots[0].Image.Header.Version
	return image, swap == mcuboot.SwapNone
}

// A fate is an image, what the board makes of it, and how that ends.
type fate struct {
	name   string
	habits virtualmcu.Habits
	change func(*virtualmcu.Options)
	end    deployment.State
}

var fates = []fate{
	{"good", virtualmcu.Habits{}, nil, deployment.Done},
	{"crashes", virtualmcu.Habits{Crash: true}, nil, deployment.RolledBack},
	{"never confirms", virtualmcu.Habits{Confirm: virtualmcu.ConfirmNever}, nil, deployment.RolledBack},
	{"the boot loader does not take it", virtualmcu.Habits{}, wantsCounter, deployment.Failed},
}

// usbFates are those of images that confirm themselves, or should.
var usbFates = []fate{
	{"good", virtualmcu.Habits{Confirm: virtualmcu.ConfirmSelf}, nil, deployment.Done},
	{"good, of the newer stack", virtualmcu.Habits{Confirm: virtualmcu.ConfirmSelf}, newer, deployment.Done},
	{"crashes, of the newer stack", virtualmcu.Habits{Crash: true}, newer, deployment.RolledBack},
	{"crashes", virtualmcu.Habits{Crash: true}, nil, deployment.RolledBack},
	{"never confirms itself", virtualmcu.Habits{Confirm: virtualmcu.ConfirmNever}, nil, deployment.RolledBack},
	{"the boot loader does not take it", virtualmcu.Habits{Confirm: virtualmcu.ConfirmSelf}, wantsCounter, deployment.RolledBack},
}

// newer is Zephyr's newer USB stack.
func newer(o *virtualmcu.Options) { o.Stack = virtualmcu.StackNext }

// wantsCounter: the boot loader wants a security counter, and the image has
// none.
func wantsCounter(o *virtualmcu.Options) { o.Guard = mcuboot.Guard{Floor: new(uint32)} }

func (f fate) open(t *testing.T, door door, at, chipAt int) *board {
	return newBoard(t, door, at, chipAt, firmware(t, 2, f.habits), f.change)
}

func (f fate) check(t *testing.T, b *board, format string, args ...any) {
	t.Helper()
	for _, broken := range b.check() {
		t.Errorf(format+": %s (%s: %s)", append(args, broken, b.server.Path(), b.server.Detail)...)
	}
}

// eachFate runs a test for every fate through every door.
func eachFate(t *testing.T, test func(*testing.T, fate, door)) {
	each := func(doors map[string]door, fates []fate) {
		for name, door := range doors {
			for _, f := range fates {
				t.Run(name+" "+f.name, func(t *testing.T) {
					t.Parallel() // they mostly wait
					test(t, f, door)
				})
			}
		}
	}
	each(overSMP, fates)
	each(overUSB, usbFates)
}

// eachCut runs some at once, for they mostly wait.
func eachCut(total int, test func(at int)) {
	var all sync.WaitGroup
	room := make(chan struct{}, 6)
	for at := 1; at <= total; at++ {
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			test(at)
		})
	}
	all.Wait()
}

// TestVirtual: each ends as it should.
func TestVirtual(t *testing.T) {
	eachFate(t, func(t *testing.T, f fate, door door) {
		b := f.open(t, door, 0, 0)
		b.live()
		f.check(t, b, "no cut")
		if b.server.State != f.end {
			t.Errorf("ended %s (%s), want %s", b.server.State, b.server.Detail, f.end)
		}
	})
}

// TestPowerCutOfTheVirtual cuts the board at every flash operation of a whole
// update.
func TestPowerCutOfTheVirtual(t *testing.T) {
	eachFate(t, func(t *testing.T, f fate, door door) {
		clean := f.open(t, door, 0, 0)
		before := clean.device.Operations()
		clean.live()
		total := clean.device.Operations() - before
		var mu sync.Mutex
		ends, cuts := map[deployment.State]int{}, 0
		eachCut(total, func(at int) {
			b := f.open(t, door, 0, at)
			b.live()
			f.check(t, b, "board cut at %d", at)
			mu.Lock()
			defer mu.Unlock()
			ends[b.server.State]++
			cuts += b.device.Cuts()
		})
		t.Logf("%d flash operations, %d cuts, ends %v", total, cuts, ends)
	})
}

// TestPowerCutBesideTheVirtual cuts the gateway at every operation.
func TestPowerCutBesideTheVirtual(t *testing.T) {
	eachFate(t, func(t *testing.T, f fate, door door) {
		clean := f.open(t, door, 0, 0)
		clean.live()
		eachCut(clean.power.Total(), func(at int) {
			b := f.open(t, door, at, 0)
			b.live()
			f.check(t, b, "gateway cut at %d", at)
		})
	})
}
