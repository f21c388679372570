package gateway

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/child"
	"github.com/moult-ota/moult/internal/child/childtest"
	"github.com/moult-ota/moult/internal/virtualmcu"
	"github.com/moult-ota/moult/internal/virtualmcu/flash"
	"github.com/moult-ota/moult/mcuboot"
)

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

// virtual starts a board that runs version 1.
func virtual(t *testing.T, usb func(*virtualmcu.Options)) *virtualmcu.Device {
	t.Helper()
	f, err := flash.New(chip)
	if err != nil {
		t.Fatal(err)
	}
	o := virtualmcu.Options{
		Flash: f, Image: firmware(t, 1, virtualmcu.Habits{}).Bytes, Keys: []mcuboot.PublicKey{childtest.PublicKey()},
		Back: 5 * time.Millisecond, Watchdog: 50 * time.Millisecond,
	}
	if usb != nil {
		usb(&o)
	}
	d, err := virtualmcu.New(o)
	if err != nil {
		t.Fatal(err)
	}
	d.Power(true)
	t.Cleanup(func() { d.Power(false) })
	return d
}

// overUDP returns where a board answers SMP.
func overUDP(t *testing.T, d *virtualmcu.Device) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go d.ServeUDP(conn)
	t.Cleanup(func() { conn.Close() })
	return conn.LocalAddr().String()
}

// overSerial returns the port behind which a board answers SMP.
func overSerial(t *testing.T, d *virtualmcu.Device) string {
	t.Helper()
	pty, err := virtualmcu.OpenPTY()
	if err != nil {
		t.Fatal(err)
	}
	go d.ServeSerial(pty)
	t.Cleanup(func() { pty.Close() })
	return pty.Path
}

// TestSMP: boards behind UDP and a serial console, one release of each kind,
// and what the server knows in the end is what runs.
func TestSMP(t *testing.T) {
	s := newSite(t)
	boards := map[string]*virtualmcu.Device{}
	for _, c := range []struct{ id, deviceType, driver string }{
		{"udp-good", "good", "smp-udp"}, {"udp-crash", "crash", "smp-udp"}, {"udp-sick", "sick", "smp-udp"},
		{"serial-good", "good", "smp-serial"}, {"serial-never", "never", "smp-serial"},
	} {
		d := virtual(t, nil)
		address := ""
		if c.driver == "smp-udp" {
			address = overUDP(t, d)
		} else {
			address = overSerial(t, d)
		}
		boards[c.id] = d
		s.child(c.id, map[string]any{"device_type": c.deviceType, "driver": c.driver, "address": address})
	}
	s.run()
	deployments := map[string]string{}
	for deviceType, h := range map[string]virtualmcu.Habits{
		"good": {}, "crash": {Crash: true}, "sick": {Sick: true}, "never": {Confirm: virtualmcu.ConfirmNever},
	} {
		for id := range boards {
			s.device(id)
		}
		deployments[deviceType] = s.deploy("fw-"+deviceType, deviceType, firmware(t, 2, h))
	}
	for _, want := range []struct {
		id, deviceType, states, detail string
		runs                           uint8
	}{
		{"udp-good", "good", good, "", 2},
		{"serial-good", "good", good, "", 2},
		{"udp-crash", "crash", "offered downloading installing rolled-back", "given up", 1},
		{"udp-sick", "sick", "offered downloading installing rolled-back", "echo", 1},
		{"serial-never", "never", "offered downloading installing trying rolled-back", "confirm", 1},
	} {
		id := s.device(want.id).ID
		states, detail := s.path(deployments[want.deviceType], id)
		if states != want.states || !strings.Contains(detail, want.detail) {
			t.Errorf("%s: %q (%s), want %q (%s)", want.id, states, detail, want.states, want.detail)
		}
		s.wantDevice(id, mcuboot.Version{Major: want.runs}.String())
		if v, answers := boards[want.id].Running(); v.Major != want.runs || !answers {
			t.Errorf("%s runs %v, answers %v; want %d.0.0", want.id, v, answers, want.runs)
		}
		if _, next := boards[want.id].Slots(); next != mcuboot.SwapNone {
			t.Errorf("%s is left with %v to come", want.id, next)
		}
	}
}

// TestFindUDP: an address that answers is a child.
func TestFindUDP(t *testing.T) {
	s := newSite(t)
	address := overUDP(t, virtual(t, nil))
	code, out, errs := s.call("find", address)
	if code != exitOK || !strings.Contains(out, address) || !strings.Contains(out, "runs 1.0.0") {
		t.Errorf("find = %d, %s%s", code, out, errs)
	}
}
