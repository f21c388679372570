package dfu

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/moult-ota/moult/internal/child"
	wire "github.com/moult-ota/moult/internal/wire/dfu"
)

// A Bus is where USB devices are. Linux's is Linux; dfutest has one in memory.
type Bus interface {
	// Devices lists what is plugged in now.
	Devices() ([]Device, error)
	// Open returns a way to a device of that list. When the device leaves the
	// bus it is dead, also when the device comes back.
	Open(Device) (Transport, error)
}

// A Transport reaches one device. Errors are, or wrap, Linux's: EPIPE is a
// stall, ENODEV a device that is gone, ETIMEDOUT one that does not answer.
type Transport interface {
	// Control carries out one request on endpoint 0: requestType has the
	// direction in its top bit; data is sent, or filled. It returns how many
	// bytes were.
	Control(requestType, request uint8, value, index uint16, data []byte) (n int, err error)
	// Claim keeps others from an interface.
	Claim(number uint8) error
	// SetAlt chooses an alternate setting of a claimed interface.
	SetAlt(number, alternate uint8) error
	// Reset resets the port.
	Reset() error
	// Close lets go of everything.
	Close() error
}

// A Device is what a bus tells of one without opening it.
type Device struct {
	USB       wire.Device
	Port      string           // as in 1-1.4: stays when the device comes back
	Bus       int              // number of the bus
	Number    int              // on the bus: changes when the device comes back
	Serial    string           // "": it tells none
	Names     map[uint8]string // strings by their numbers, as far as the bus knows them
	Connected time.Duration    // that it is on the bus; 0: not known
}

func (d Device) String() string {
	return fmt.Sprintf("%04x:%04x on port %s", d.USB.Vendor, d.USB.Product, d.Port)
}

// inDFU reports whether the device is in DFU mode.
func (d Device) inDFU() bool { return len(d.interfaces(wire.ProtocolDFU)) > 0 }

// interfaces are those of the class DFU in a mode.
func (d Device) interfaces(protocol uint8) (all []wire.Interface) {
	for _, i := range d.USB.Interfaces {
		if i.IsDFU(protocol) {
			all = append(all, i)
		}
	}
	return all
}

// A Match says which device is meant. What is zero is not looked at.
type Match struct {
	Vendor  uint16
	Product uint16 // of its application; DFU mode may have another
	Port    string // as in 1-1.4
	Serial  string
}

// ParseMatch reads vendor:product@port, as in 2fe3:0100@1-1.2. A product of *
// is any, and the port may be left out.
func ParseMatch(text string) (m Match, err error) {
	ids, port, at := strings.Cut(text, "@")
	vendor, product, _ := strings.Cut(ids, ":")
	_, err = fmt.Sscanf(vendor, "%04x", &m.Vendor)
	if err == nil && product != "*" {
		_, err = fmt.Sscanf(product, "%04x", &m.Product)
	}
	if m.Port = port; err != nil || len(vendor) != 4 || product != "*" && len(product) != 4 || at && !isPort(port) {
		return Match{}, fmt.Errorf("USB address %.80q: want vendor:product@port, as in 2fe3:0100@1-1.2", text)
	}
	return m, nil
}

// isPort reports whether a text is a bus and ports, as in 1-1.2.
func isPort(text string) bool {
	bus, ports, ok := strings.Cut(text, "-")
	for _, n := range append(strings.Split(ports, "."), bus) {
		ok = ok && n != "" && strings.Trim(n, "0123456789") == ""
	}
	return ok
}

// find returns the only device that is meant.
func (m Match) find(devices []Device) (found Device, err error) {
	n, other := 0, ""
	for _, d := range devices {
		switch {
		case m.fits(d):
			found = d
			n++
		case d.Port == m.Port:
			other = fmt.Sprintf("; there is %s", d)
		}
	}
	switch n {
	case 0:
		return found, fmt.Errorf("%w: no USB device %s%s", child.ErrAway, m, other)
	case 1:
		return found, nil
	}
	return found, fmt.Errorf("%d USB devices are %s; name the port of one", n, m)
}

// fits reports whether a device is meant. In DFU mode it is known by its port,
// or by its serial number without one.
func (m Match) fits(d Device) bool {
	same := func(want, got uint16) bool { return want == 0 || want == got }
	fits := same(m.Vendor, d.USB.Vendor) && (m.Port == "" || m.Port == d.Port)
	if d.inDFU() && m.Port != "" {
		return fits
	}
	fits = fits && (m.Serial == "" || m.Serial == d.Serial)
	return fits && (d.inDFU() || same(m.Product, d.USB.Product))
}

func (m Match) String() string {
	text := fmt.Sprintf("%04x:*", m.Vendor)
	if m.Product != 0 {
		text = fmt.Sprintf("%04x:%04x", m.Vendor, m.Product)
	}
	if m.Serial != "" {
		text += " with serial number " + m.Serial
	}
	if m.Port != "" {
		text += " on port " + m.Port
	}
	return text
}

// lost reports whether an error says that the device left or does not answer.
func lost(err error) bool {
	for _, e := range []syscall.Errno{
		syscall.ENODEV, syscall.ENXIO, syscall.ENOENT, syscall.ESHUTDOWN, syscall.ETIMEDOUT, syscall.EPROTO, syscall.EILSEQ, syscall.EIO,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// away turns such an error into child.ErrAway.
func away(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case lost(err):
		return fmt.Errorf("%s: %w: %w", what, child.ErrAway, err)
	case errors.Is(err, syscall.EBUSY):
		return fmt.Errorf("%s: %w: another program has it open", what, err)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return fmt.Errorf("%s: %w: a udev rule can give this program the right", what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
