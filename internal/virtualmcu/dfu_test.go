package virtualmcu_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/virtualmcu"
	"github.com/moult-ota/moult/mcuboot"
)

// A host is one end of a USB cable, for what a test says that it does.
type host struct {
	*virtualmcu.USB
	c *virtualmcu.Connection
}

// over is a host that has just opened the device.
func over(t *testing.T, d *virtualmcu.Device) host {
	t.Helper()
	c, err := d.USB().Open()
	check(t, err)
	return host{d.USB(), c}
}

func (h host) Control(requestType, request uint8, value, index uint16, data []byte) (int, error) {
	return h.c.Control(requestType, request, value, index, data)
}

// States and requests of DFU 1.1.
const (
	idle, busy, downloadIdle, manifestSync, waitReset, dfuError = 2, 4, 5, 6, 8, 10
	dnload, upload, status, clear, abort                        = 1, 2, 3, 4, 6
)

func (h host) send(block uint16, p []byte) error {
	_, err := h.Control(0x21, dnload, block, 0, p)
	return err
}

func (h host) status() (status_, state byte, err error) {
	p := make([]byte, 6)
	_, err = h.Control(0xa1, status, 0, 0, p)
	return p[0], p[4], err
}

// until asks for the status until the state is one of these.
func (h host) until(want ...byte) (byte, error) {
	for range 100_000 {
		s, state, err := h.status()
		if err != nil || bytes.IndexByte(want, state) >= 0 {
			return state, err
		}
		if state == dfuError {
			return state, fmt.Errorf("status %d", s)
		}
		if state == busy || state == idle {
			time.Sleep(100 * time.Microsecond)
		}
	}
	return 0, errors.New("it never comes to that state")
}

func (h host) download(p []byte, size int) error {
	block := uint16(0)
	for len(p) > 0 {
		n := min(size, len(p))
		if err := h.send(block, p[:n]); err != nil {
			return err
		}
		if _, err := h.until(downloadIdle); err != nil {
			return err
		}
		p, block = p[n:], block+1
	}
	if err := h.send(block, nil); err != nil {
		return err
	}
	_, err := h.until(idle, waitReset)
	if errors.Is(err, virtualmcu.ErrGone) {
		err = nil // it restarted
	}
	return err
}

// enterDFU detaches and chooses the second alternate setting.
func enterDFU(t *testing.T, d *virtualmcu.Device) host {
	t.Helper()
	h := over(t, d)
	_, err := h.Control(0x21, 0, 1000, 0, nil)
	check(t, err)
	waitFor(t, d, func() bool {
		device, _, _ := h.Descriptors()
		_, attached := h.Attachment()
		return attached && device[10] == 0xff && device[11] == 0xff
	})
	if _, err := h.Control(0xa1, status, 0, 0, make([]byte, 6)); !errors.Is(err, virtualmcu.ErrGone) {
		t.Errorf("Control with the handle of before = %v", err)
	}
	h = over(t, d)
	_, err = h.Control(0x01, 11, 1, 0, nil)
	check(t, err)
	return h
}

// download puts an image on a board and waits for it to have restarted.
func download(t *testing.T, d *virtualmcu.Device, p []byte) {
	t.Helper()
	h := enterDFU(t, d)
	check(t, h.download(p, 128))
	waitFor(t, d, func() bool { _, next := d.Slots(); return next != mcuboot.SwapTest })
}

func TestDFU(t *testing.T) {
	for _, stack := range []virtualmcu.Stack{virtualmcu.StackLegacy, virtualmcu.StackNext} {
		d := board(t, func(o *virtualmcu.Options) { o.Stack, o.Detach, o.Erase = stack, time.Millisecond, 20*time.Millisecond })
		download(t, d, image(t, 2, virtualmcu.Habits{Confirm: virtualmcu.ConfirmSelf}))
		runs(t, d, 2, mcuboot.SwapNone)
		download(t, d, image(t, 3, virtualmcu.Habits{}))
		runs(t, d, 3, mcuboot.SwapRevert)
		d.Reset()
		runs(t, d, 2, mcuboot.SwapNone)
	}
}

// TestLegacy is what Zephyr's first stack does, and others do not.
func TestLegacy(t *testing.T) {
	d := board(t, func(o *virtualmcu.Options) { o.Erase, o.NoReboot = 300*time.Millisecond, true })
	h := enterDFU(t, d)
	_, err := h.Control(0x01, 11, 0, 0, nil)
	check(t, err)
	check(t, h.send(0, make([]byte, 64)))
	if s, state, _ := h.status(); s != 3 || state != dfuError {
		t.Errorf("DNLOAD to alternate 0: status %d, state %d, want errWRITE", s, state)
	}
	_, err = h.Control(0x21, clear, 0, 0, nil)
	check(t, err)
	_, err = h.Control(0x01, 11, 1, 0, nil)
	check(t, err)
	check(t, h.send(0, image(t, 2, virtualmcu.Habits{})[:128]))
	if _, state, _ := h.status(); state != busy {
		t.Errorf("state %d while slot 1 is erased, want dfuDNBUSY", state)
	}
	if err := h.send(1, make([]byte, 128)); !errors.Is(err, virtualmcu.ErrStall) {
		t.Errorf("DNLOAD while busy = %v, want a stall", err)
	}
	_, err = h.Control(0x21, clear, 0, 0, nil)
	check(t, err)
	if _, err := h.Control(0xa1, upload, 0, 0, make([]byte, 128)); !errors.Is(err, virtualmcu.ErrStall) {
		t.Errorf("UPLOAD = %v, want a stall", err)
	}
	_, err = h.Control(0x21, abort, 0, 0, nil)
	check(t, err)
	if _, err := h.until(downloadIdle); err != nil {
		t.Errorf("an erase that ends forgets the ABORT: %v", err)
	}
	_, err = h.Control(0x21, abort, 0, 0, nil)
	check(t, err)
	check(t, h.download(image(t, 2, virtualmcu.Habits{}), 100))
	if _, state, _ := h.status(); state != idle {
		t.Errorf("state %d, want dfuIDLE: it does not restart by itself", state)
	}
	d.Reset()
	runs(t, d, 2, mcuboot.SwapRevert)
}

// TestNext is what the new stack does.
func TestNext(t *testing.T) {
	d := board(t, func(o *virtualmcu.Options) { o.Stack, o.NoRequest = virtualmcu.StackNext, true })
	h := enterDFU(t, d)
	p := image(t, 2, virtualmcu.Habits{})
	check(t, h.send(0, p[:128]))
	if _, state, _ := h.status(); state != 3 {
		t.Errorf("state %d, want dfuDNLOAD-SYNC: it tells the one before", state)
	}
	if err := h.send(2, p[128:256]); !errors.Is(err, virtualmcu.ErrStall) {
		t.Errorf("DNLOAD of block 2 after 0 = %v, want a stall", err)
	}
	_, err := h.Control(0x21, clear, 0, 0, nil)
	check(t, err)
	check(t, h.download(p, 128))
	waitFor(t, d, func() bool { device, _, _ := h.Descriptors(); return device[10] == 0x00 })
	runs(t, d, 1, mcuboot.SwapNone) // nobody asked for the upgrade
	h = enterDFU(t, d)
	got := make([]byte, 0, len(p))
	for block := uint16(0); len(got) < len(p); block++ {
		b := make([]byte, 128)
		n, err := h.Control(0xa1, upload, block, 0, b)
		check(t, err)
		got = append(got, b[:n]...)
	}
	if !bytes.Equal(got[:len(p)], p) {
		t.Error("what was uploaded is not what was downloaded")
	}
}

// TestOverPending: the new stack's download takes the place of one that was
// waited for, request and all.
func TestOverPending(t *testing.T) {
	d := board(t, func(o *virtualmcu.Options) { o.Stack, o.NoRequest, o.NoReboot = virtualmcu.StackNext, true, true })
	c := straight{t, d}
	c.deploy(image(t, 2, virtualmcu.Habits{}))
	runs(t, d, 1, mcuboot.SwapTest)
	h := enterDFU(t, d)
	check(t, h.download(image(t, 3, virtualmcu.Habits{}), 128))
	runs(t, d, 1, mcuboot.SwapNone)
}

func TestDetachByHost(t *testing.T) {
	d := board(t, func(o *virtualmcu.Options) { o.HostDetach = true })
	h := over(t, d)
	before, _ := h.Attachment()
	_, err := h.Control(0x21, 0, 1000, 0, nil)
	check(t, err)
	if now, _ := h.Attachment(); now != before {
		t.Error("it left the bus by itself")
	}
	check(t, h.BusReset())
	if device, _, _ := h.Descriptors(); device[10] != 0xff {
		t.Error("it is not in DFU mode after the reset")
	}
}

func TestNoDFU(t *testing.T) {
	d := board(t, nil)
	download(t, d, image(t, 2, virtualmcu.Habits{NoDFU: true}))
	h := over(t, d)
	if _, err := h.Control(0x21, 0, 1000, 0, nil); !errors.Is(err, virtualmcu.ErrStall) {
		t.Errorf("DETACH = %v, want a stall", err)
	}
	if _, config, _ := h.Descriptors(); bytes.Contains(config, []byte{0xfe, 0x01}) {
		t.Errorf("descriptors show DFU: %x", config)
	}
}

func TestDescriptors(t *testing.T) {
	for _, tell := range []virtualmcu.Tell{virtualmcu.TellString, virtualmcu.TellDevice} {
		d := board(t, func(o *virtualmcu.Options) { o.ShowVersion = tell })
		h := over(t, d)
		device, config, strings := h.Descriptors()
		if v := []byte{0xe3, 0x2f, 0x00, 0x01}; !bytes.Equal(device[8:12], v) || int(config[2]) != len(config) {
			t.Errorf("device %x, config %x", device, config)
		}
		if got := fmt.Sprintf("%x", device[12:14]); tell == virtualmcu.TellDevice && got != "0401" || tell == virtualmcu.TellString && strings[config[17]] != "1.4.0" {
			t.Errorf("bcdDevice %s, interface %q", got, strings[config[17]])
		}
		p := make([]byte, 255)
		n, err := h.Control(0x80, 6, 0x0302, 0x0409, p)
		check(t, err)
		if want := "f\x00r\x00d\x00m\x00_\x00k\x006\x004\x00f\x00"; string(p[2:n]) != want || int(p[0]) != n {
			t.Errorf("product %q", p[:n])
		}
	}
}
