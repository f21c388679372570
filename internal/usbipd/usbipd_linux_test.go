package usbipd

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/child/dfu/dfutest"
	wire "github.com/moult-ota/moult/internal/wire/dfu"
	"github.com/moult-ota/moult/internal/wire/usbip"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func gadget() *dfutest.Device {
	d := &dfutest.Device{
		Vendor: 0x2fe3, Product: 0x0100, ProductDFU: 0xffff, Name: "Board", Alts: []string{"image_0", "image_1"},
		Functional: wire.Functional{Attributes: wire.CanDownload | wire.WillDetach, TransferSize: 64, Version: wire.Version11},
	}
	return d.Start(true)
}

// A kernel is the other end.
type kernel struct {
	*testing.T
	net.Conn
	seq uint32
}

func serve(t *testing.T, d Device) (*kernel, chan error) {
	t.Helper()
	ours, theirs := net.Pipe()
	end := make(chan error, 1)
	go func() {
		end <- Serve(ours, d)
		ours.Close()
	}()
	t.Cleanup(func() { theirs.Close() })
	check(t, theirs.SetDeadline(time.Now().Add(10*time.Second)))
	return &kernel{T: t, Conn: theirs}, end
}

func (k *kernel) ask(in bool, setup [8]byte, length int, data []byte) {
	k.Helper()
	k.seq++
	p := usbip.AppendSubmit(nil, usbip.Submit{Sequence: k.seq, Device: deviceID, In: in, Length: uint32(length), Setup: setup})
	_, err := k.Write(append(p, data...))
	check(k.T, err)
}

func (k *kernel) answer(in bool) (usbip.Answer, []byte) {
	k.Helper()
	head := make([]byte, usbip.HeaderSize)
	_, err := io.ReadFull(k, head)
	check(k.T, err)
	a, _, err := usbip.ParseAnswer(head)
	check(k.T, err)
	if a.Done == nil || !in || a.Done.Status != 0 {
		return a, nil
	}
	data := make([]byte, a.Done.Length)
	_, err = io.ReadFull(k, data)
	check(k.T, err)
	return a, data
}

func setup(requestType, request byte, value, index, length uint16) (p [8]byte) {
	p[0], p[1] = requestType, request
	for i, v := range []uint16{value, index, length} {
		binary.LittleEndian.PutUint16(p[2+2*i:], v)
	}
	return p
}

func TestServe(t *testing.T) {
	d := gadget()
	k, end := serve(t, d)
	k.ask(true, setup(0x80, 6, 0x100, 0, 64), 64, nil)
	if a, p := k.answer(true); a.Done.Sequence != 1 || a.Done.Length != 18 || !bytes.Equal(p[8:12], []byte{0xe3, 0x2f, 0xff, 0xff}) {
		t.Errorf("device descriptor: %+v, %x", a.Done, p)
	}
	k.ask(false, setup(0x21, 1, 0, 0, 4), 4, []byte("abcd"))
	if a, _ := k.answer(false); a.Done.Status != 0 || a.Done.Length != 4 {
		t.Errorf("DNLOAD: %+v", a.Done)
	}
	if image, _ := d.Image(); string(image) != "abcd" {
		t.Errorf("%q arrived", image)
	}
	k.ask(false, setup(0x21, 9, 0, 0, 0), 0, nil)
	if a, _ := k.answer(false); a.Done.Status != -int32(syscall.EPIPE) {
		t.Errorf("a request that is none: %+v, want a stall", a.Done)
	}
	k.Close()
	if err := <-end; err != nil {
		t.Errorf("Serve = %v", err)
	}
}

// TestUnanswered: a request that is never answered can be taken back.
func TestUnanswered(t *testing.T) {
	d := gadget()
	d.StuckAt = 1
	k, _ := serve(t, d)
	k.ask(true, setup(0xa1, 3, 0, 0, 6), 6, nil)
	for _, want := range []int32{-int32(syscall.ECONNRESET), 0} {
		k.seq++
		_, err := k.Write(usbip.AppendUnlink(nil, usbip.Unlink{Sequence: k.seq, Submit: 1}))
		check(t, err)
		if a, _ := k.answer(false); a.Unlinked == nil || a.Unlinked.Status != want || a.Unlinked.Sequence != k.seq {
			t.Errorf("unlink: %+v, want status %d", a, want)
		}
	}
}

// TestLimits: other endpoints stall, and what is never answered has its limit.
func TestLimits(t *testing.T) {
	d := gadget()
	d.StuckAt = 1
	k, end := serve(t, d)
	_, err := k.Write(usbip.AppendSubmit(nil, usbip.Submit{Sequence: 1, In: true, Endpoint: 1, Length: 8, Setup: setup(0x80, 6, 0x100, 0, 8)}))
	check(t, err)
	if a, _ := k.answer(true); a.Done.Status != -int32(syscall.EPIPE) {
		t.Errorf("endpoint 1: %+v, want a stall", a.Done)
	}
	for range maxWaiting + 1 {
		k.ask(true, setup(0xa1, 3, 0, 0, 6), 6, nil)
	}
	if err := <-end; err == nil || !strings.Contains(err.Error(), "65 requests wait") {
		t.Errorf("Serve = %v", err)
	}
}

// TestReset: the configuration that is set again is a reset of the port.
func TestReset(t *testing.T) {
	d := gadget()
	k, end := serve(t, d)
	for _, inDFU := range []bool{true, false} {
		k.ask(false, setup(0, setConfiguration, 1, 0, 0), 0, nil)
		k.answer(false)
		if _, now := d.State(); now != inDFU {
			t.Errorf("in DFU mode: %v, want %v", now, inDFU)
		}
	}
	_, err := k.Write(make([]byte, usbip.HeaderSize))
	check(t, err)
	if err := <-end; err == nil || !strings.Contains(err.Error(), "not a USB/IP packet") {
		t.Errorf("Serve of noise = %v", err)
	}
}

func TestGone(t *testing.T) {
	d := gadget()
	d.GoneAt = 1
	k, end := serve(t, d)
	k.ask(false, setup(0x21, 1, 0, 0, 1), 1, []byte{1})
	if err := <-end; err != nil {
		t.Errorf("Serve of a device that left = %v", err)
	}
}

// TestExport: a gadget that leaves and comes back is plugged in each time, with
// a socket of the kernel.
func TestExport(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "sys/devices/platform/vhci_hcd.0")
	check(t, os.MkdirAll(dir, 0o755))
	attach := filepath.Join(dir, "attach")
	check(t, os.WriteFile(attach, nil, 0o644))
	ctx, cancel := context.WithCancel(t.Context())
	end := make(chan error, 1)
	d := gadget()
	go func() { end <- Export(ctx, Port{Root: root, Number: 2}, d) }()
	for range 2 { // the other end is closed with our file: Export begins anew
		waitFor(t, attach)
		d.Start(false)
	}
	cancel()
	if err := <-end; err != nil {
		t.Errorf("Export = %v", err)
	}
	if err := (Port{Root: t.TempDir()}).Unplug(); err == nil || !strings.Contains(err.Error(), "vhci-hcd") {
		t.Errorf("without the module: %v", err)
	}
}

// waitFor wants a line "2 FD 65537 2", and empties the file.
func waitFor(t *testing.T, path string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		text, err := os.ReadFile(path)
		check(t, err)
		if f := strings.Fields(string(text)); len(f) == 4 && f[0] == "2" && f[2] == "65537" && f[3] == "2" {
			check(t, os.WriteFile(path, nil, 0o644))
			return
		}
	}
	t.Fatal("nothing was plugged in")
}
