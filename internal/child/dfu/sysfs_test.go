package dfu_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/child"
	"github.com/moult-ota/moult/internal/child/dfu"
)

// tree writes files below a folder.
func tree(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(root, name)
		check(t, os.MkdirAll(filepath.Dir(path), 0o755))
		check(t, os.WriteFile(path, []byte(text), 0o644))
	}
}

func TestLinuxDevices(t *testing.T) {
	root := t.TempDir()
	if all, err := (dfu.Linux{Root: root}).Devices(); err != nil || len(all) > 0 {
		t.Errorf("without USB: %v, %v", all, err)
	}
	device, config, _ := gadget(nil).Descriptors()
	at := "sys/bus/usb/devices/"
	tree(t, root, map[string]string{
		at + "1-1.4/descriptors": string(slices.Concat(device, config)), at + "1-1.4/busnum": "1\n", at + "1-1.4/devnum": "17\n",
		at + "1-1.4/serial": "0001\n", at + "1-1.4/manufacturer": "Moult\n", at + "1-1.4/product": "Board\n",
		at + "1-1.4/power/connected_duration":    "61000\n",
		at + "1-1.4/1-1.4:1.0/bAlternateSetting": " 0\n", at + "1-1.4/1-1.4:1.0/interface": "app 1.4.0\n",
		at + "1-1.4:1.0/descriptors": "", at + "usb1/descriptors": string(device), at + "usb1/busnum": "1", at + "usb1/devnum": "1",
		at + "1-2/descriptors": "broken", at + "1-2/busnum": "1", at + "1-2/devnum": "2",
		at + "1-3/descriptors": string(device), at + "1-3/busnum": "1", // it just leaves
	})
	all, err := dfu.Linux{Root: root}.Devices()
	check(t, err)
	if len(all) != 1 {
		t.Fatalf("%d devices, want one: %+v", len(all), all)
	}
	got := all[0]
	if want := (map[uint8]string{1: "Moult", 2: "Board", 3: "0001", 4: "app 1.4.0"}); !reflect.DeepEqual(got.Names, want) {
		t.Errorf("names %q, want %q", got.Names, want)
	}
	got.Names, got.USB.Interfaces = nil, nil
	want := dfu.Device{USB: got.USB, Port: "1-1.4", Bus: 1, Number: 17, Serial: "0001", Connected: 61 * time.Second}
	if !reflect.DeepEqual(got, want) || got.USB.Vendor != 0x2fe3 || got.USB.Release != 0x0104 {
		t.Errorf("device %+v, want %+v", got, want)
	}
}

// TestLinuxSetting: Linux tells the string of the setting that is chosen.
func TestLinuxSetting(t *testing.T) {
	root, at := t.TempDir(), "sys/bus/usb/devices/1-1/"
	device, config, _ := gadget(nil).Start(true).Descriptors()
	tree(t, root, map[string]string{
		at + "descriptors": string(slices.Concat(device, config)), at + "busnum": "1", at + "devnum": "2",
		at + "1-1:1.0/bAlternateSetting": " 1\n", at + "1-1:1.0/interface": "image_1\n",
	})
	all, err := dfu.Linux{Root: root}.Devices()
	if err != nil || len(all) != 1 || !reflect.DeepEqual(all[0].Names, map[uint8]string{6: "image_1"}) {
		t.Errorf("Devices = %+v, %v, want image_1 to be string 6", all, err)
	}
}

// TestLinuxOpen: a device without a file is away, and so is one that is no
// device.
func TestLinuxOpen(t *testing.T) {
	root := t.TempDir()
	bus := dfu.Linux{Root: root}
	if _, err := bus.Open(dfu.Device{Bus: 1, Number: 2}); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("Open = %v", err)
	}
	tree(t, root, map[string]string{"dev/bus/usb/001/002": ""})
	d, err := bus.Open(dfu.Device{Bus: 1, Number: 2})
	check(t, err)
	defer d.Close()
	_, err = d.Control(0x80, 6, 0x100, 0, make([]byte, 18))
	for _, err := range []error{err, d.Claim(0), d.SetAlt(0, 1), d.Reset()} {
		if !errors.Is(err, syscall.ENOTTY) {
			t.Errorf("a file took a request: %v", err)
		}
	}
	if _, err := d.Control(0xa1, 2, 0, 0, make([]byte, 4097)); err == nil || errors.Is(err, syscall.ENOTTY) {
		t.Errorf("a request that is too long: %v", err)
	}
}

// TestLinuxAway: a child whose file is not there yet is away.
func TestLinuxAway(t *testing.T) {
	c, err := dfu.New(dfu.Options{Match: dfu.Match{Vendor: 1}, Bus: dfu.Linux{Root: t.TempDir()}})
	check(t, err)
	if _, err := c.State(t.Context()); !errors.Is(err, child.ErrAway) {
		t.Errorf("State = %v", err)
	}
}
