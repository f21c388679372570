package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/moult-ota/moult/internal/child"
	"github.com/moult-ota/moult/internal/child/dfu"
	"github.com/moult-ota/moult/internal/usbipd"
	"github.com/moult-ota/moult/internal/virtualmcu"
	"github.com/moult-ota/moult/internal/virtualmcu/flash"
	"github.com/moult-ota/moult/internal/virtualmcu/loader"
	"github.com/moult-ota/moult/mcuboot"
)

// size is that of the payload, in bytes: no multiple of any block.
const size = 70_001

var key = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{5}, ed25519.SeedSize))

// firmware is one that confirms itself.
func firmware(major uint8) (child.Image, error) {
	f := virtualmcu.Firmware{Version: mcuboot.Version{Major: major, Minor: 4}, Key: key, Size: size}
	f.Confirm = virtualmcu.ConfirmSelf
	text, err := f.Image()
	if err != nil {
		return child.Image{}, err
	}
	im, _, err := mcuboot.Parse(text)
	if err != nil {
		return child.Image{}, err
	}
	return child.Image{Bytes: text, Version: im.Header.Version, Hash: [32]byte(im.Hash())}, nil
}

// A world is a board on a port, and the image that is to get there.
type world struct {
	board *virtualmcu.Device
	flash *flash.Flash
	image child.Image
	port  string
	stop  context.CancelFunc
	ended chan error
}

func open(ctx context.Context, s story, port int) (*world, error) {
	old, err := firmware(1)
	if err != nil {
		return nil, err
	}
	w := &world{ended: make(chan error, 1), port: fmt.Sprintf("1-%d", port+1)}
	if w.image, err = firmware(2); err != nil {
		return nil, err
	}
	if w.flash, err = flash.New(virtualmcu.K64F); err != nil {
		return nil, err
	}
	public, err := mcuboot.NewPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	o := virtualmcu.Options{Flash: w.flash, Keys: []mcuboot.PublicKey{public}, Image: old.Bytes, Stack: s.stack, Transfer: 1024, NoReboot: true}
	o.Times = virtualmcu.Times{Erase: 500 * time.Millisecond, Boot: 50 * time.Millisecond, Detach: 50 * time.Millisecond, Reset: 400 * time.Millisecond}
	if s.change != nil {
		s.change(&o)
	}
	if w.board, err = virtualmcu.New(o); err != nil {
		return nil, err
	}
	w.board.Power(true)
	ctx, w.stop = context.WithCancel(ctx)
	go func() { w.ended <- usbipd.Export(ctx, usbipd.Port{Number: port}, w.board.USB()) }()
	return w, nil
}

// close unplugs the board, and waits until the kernel knows.
func (w *world) close() {
	w.stop()
	if err := <-w.ended; err != nil {
		fmt.Println("usb: FAIL export:", err)
	}
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if _, there := w.device(); !there {
			return
		}
	}
}

// device is what is on the board's port.
func (w *world) device() (dfu.Device, bool) {
	all, _ := dfu.Linux{}.Devices()
	for _, d := range all {
		if d.Port == w.port {
			return d, true
		}
	}
	return dfu.Device{}, false
}

// wait waits until the board is on its port with these ids.
func (w *world) wait(ctx context.Context, ids string) error {
	var d dfu.Device
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
		d, _ = w.device()
		if fmt.Sprintf("%04x:%04x", d.USB.Vendor, d.USB.Product) == ids {
			return nil
		}
	}
	return fmt.Errorf("wait for %s on port %s: there is %v", ids, w.port, d)
}

// arrived compares slot 1 with the image, byte for byte.
func (w *world) arrived() error {
	l, err := loader.Split(virtualmcu.K64F)
	if err != nil {
		return err
	}
	got := make([]byte, len(w.image.Bytes))
	if _, err := w.flash.ReadAt(got, l.Offset(1)); err != nil {
		return err
	}
	if !bytes.Equal(got, w.image.Bytes) {
		return fmt.Errorf("slot 1 has other bytes: %x, want %x", got[:32], w.image.Bytes[:32])
	}
	return nil
}

// child is the board as a gateway has it.
func (w *world) child(change func(*dfu.Options)) (*dfu.Child, error) {
	o := dfu.Options{Match: dfu.Match{Vendor: virtualmcu.Vendor, Product: virtualmcu.ProductRuntime, Port: w.port}, Down: time.Second}
	if change != nil {
		change(&o)
	}
	return dfu.New(o)
}

// util runs Debian's dfu-util.
func (w *world) util(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "/usr/bin/dfu-util", append([]string{"-p", w.port}, args...)...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("dfu-util %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), err
}

// file is the image as a file.
func (w *world) file() (string, error) {
	path := "/tmp/" + w.port
	return path, os.WriteFile(path, w.image.Bytes, 0o600)
}
