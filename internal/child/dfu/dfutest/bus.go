// Package dfutest has a USB bus in memory, and a device for it with DFU 1.1 or
// DfuSe as the standards have it, with faults on demand. How Zephyr's stacks
// differ is virtualmcu's part, whose devices fit the bus as well.
package dfutest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/moult-ota/moult/internal/child/dfu"
	wire "github.com/moult-ota/moult/internal/wire/dfu"
)

// A Gadget is the device's side of a cable.
type Gadget interface {
	Control(requestType, request uint8, value, index uint16, data []byte) (n int, err error)
	// Attachment says whether it is on the bus; the number changes each time it comes.
	Attachment() (generation int, attached bool)
	Descriptors() (device, config []byte, strings map[uint8]string)
	BusReset() error
}

// A Bus has gadgets on its ports.
type Bus struct {
	mu      sync.Mutex
	ports   map[string]Gadget
	claimed map[string]int
}

var _ dfu.Bus = (*Bus)(nil)

// Plug plugs a gadget in.
func (b *Bus) Plug(port string, g Gadget) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ports == nil {
		b.ports, b.claimed = map[string]Gadget{}, map[string]int{}
	}
	b.ports[port] = g
}

// Devices is what Linux would tell.
func (b *Bus) Devices() (all []dfu.Device, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for port, g := range b.ports {
		generation, attached := g.Attachment()
		if !attached {
			continue
		}
		device, config, names := g.Descriptors()
		usb, err := wire.ParseDevice(slices.Concat(device, config))
		if err != nil {
			return nil, err
		}
		d := dfu.Device{USB: usb, Port: port, Bus: 1, Number: generation + 1, Serial: names[usb.SerialString], Names: map[uint8]string{}}
		for _, n := range append(first(usb), usb.VendorString, usb.ProductString, usb.SerialString) {
			d.Names[n] = names[n]
		}
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b dfu.Device) int { return strings.Compare(a.Port, b.Port) })
	return all, nil
}

// first are the strings of interfaces that Linux reads by itself.
func first(d wire.Device) (all []uint8) {
	for _, i := range d.Interfaces {
		if i.Alternate == 0 {
			all = append(all, i.String)
		}
	}
	return all
}

// Open returns a handle of one attachment.
func (b *Bus) Open(d dfu.Device) (dfu.Transport, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	g := b.ports[d.Port]
	if g == nil {
		return nil, syscall.ENOENT
	}
	return &handle{Gadget: g, b: b, d: d}, nil
}

type handle struct {
	Gadget
	b       *Bus
	d       dfu.Device
	claimed bool
}

func (h *handle) here() error {
	if generation, attached := h.Attachment(); !attached || generation+1 != h.d.Number {
		return syscall.ENODEV
	}
	return nil
}

func (h *handle) Control(requestType, request uint8, value, index uint16, data []byte) (int, error) {
	if err := h.here(); err != nil {
		return 0, err
	}
	return h.Gadget.Control(requestType, request, value, index, data)
}

func (h *handle) key() string { return fmt.Sprintf("%s/%d", h.d.Port, h.d.Number) }

func (h *handle) Claim(uint8) error {
	if err := h.here(); err != nil {
		return err
	}
	h.b.mu.Lock()
	defer h.b.mu.Unlock()
	if h.b.claimed[h.key()] > 0 {
		return syscall.EBUSY
	}
	h.b.claimed[h.key()]++
	h.claimed = true
	return nil
}

func (h *handle) SetAlt(number, alternate uint8) error {
	_, err := h.Control(0x01, setInterface, uint16(alternate), uint16(number), nil)
	return err
}

func (h *handle) Reset() error {
	if err := h.here(); err != nil {
		return err
	}
	return h.BusReset()
}

func (h *handle) Close() error {
	h.b.mu.Lock()
	defer h.b.mu.Unlock()
	if h.claimed {
		h.b.claimed[h.key()]--
	}
	h.claimed = false
	return nil
}
