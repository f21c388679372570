package dfu

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	wire "github.com/moult-ota/moult/internal/wire/dfu"
)

// Limits of what is read of /sys.
const (
	maxAttribute = 4096 // bytes
	maxDevices   = 1024
)

// Linux is the USB of this computer, through /sys and /dev/bus/usb. Root
// stands before both.
type Linux struct {
	Root string // "": /
}

var _ Bus = Linux{}

func (l Linux) sys() string { return filepath.Join("/", l.Root, "sys/bus/usb/devices") }

// Devices reads /sys. A device that leaves meanwhile is not in the list.
func (l Linux) Devices() (all []Device, err error) {
	entries, err := os.ReadDir(l.sys())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // a computer without USB
	}
	if err != nil {
		return nil, fmt.Errorf("list USB devices: %w", err)
	}
	for _, e := range entries {
		if !isPort(e.Name()) || len(all) == maxDevices {
			continue // interfaces, and the controllers' own hubs
		}
		if d, err := l.device(e.Name()); err == nil {
			all = append(all, d)
		}
	}
	return all, nil
}

func (l Linux) device(port string) (d Device, err error) {
	dir := filepath.Join(l.sys(), port)
	text, err := read(filepath.Join(dir, "descriptors"), wire.MaxDescriptors)
	if err != nil {
		return d, err
	}
	usb, err := wire.ParseDevice([]byte(text))
	if err != nil {
		return d, err
	}
	d = Device{USB: usb, Port: port, Names: map[uint8]string{}}
	if d.Bus, err = l.number(dir, "busnum"); err != nil {
		return d, err
	}
	if d.Number, err = l.number(dir, "devnum"); err != nil {
		return d, err
	}
	d.Serial = attribute(dir, "serial")
	d.name(usb.VendorString, attribute(dir, "manufacturer"))
	d.name(usb.ProductString, attribute(dir, "product"))
	d.name(usb.SerialString, d.Serial)
	for _, i := range usb.Interfaces { // Linux tells the string of the chosen setting alone
		if folder := filepath.Join(dir, fmt.Sprintf("%s:1.%d", port, i.Number)); chosen(folder, i) {
			d.name(i.String, attribute(folder, "interface"))
		}
	}
	ms, _ := l.number(dir, "power/connected_duration")
	d.Connected = time.Duration(ms) * time.Millisecond
	return d, nil
}

func chosen(folder string, i wire.Interface) bool {
	n, err := strconv.Atoi(attribute(folder, "bAlternateSetting"))
	return err == nil && n == int(i.Alternate)
}

func (d *Device) name(number uint8, text string) {
	if number != 0 && text != "" {
		d.Names[number] = text
	}
}

func (l Linux) number(dir, name string) (int, error) { return strconv.Atoi(attribute(dir, name)) }

func attribute(dir, name string) string {
	text, _ := read(filepath.Join(dir, name), maxAttribute)
	return strings.TrimSpace(text)
}

func read(path string, most int64) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most))
	return string(text), err
}
