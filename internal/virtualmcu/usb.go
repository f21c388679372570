package virtualmcu

import (
	"encoding/binary"
	"fmt"
	"syscall"
	"unicode/utf16"
)

// Errors of control requests, as Linux has them.
var (
	ErrStall   = fmt.Errorf("usb request stalled: %w", syscall.EPIPE)
	ErrTimeout = fmt.Errorf("usb request timed out: %w", syscall.ETIMEDOUT) // at once; the carrier waits
	ErrGone    = fmt.Errorf("usb device is not on the bus: %w", syscall.ENODEV)
)

// A USB is a board's USB device. It has control requests only, as DFU needs
// no more.
type USB struct {
	d *Device

	// Guarded by d.mu.
	attached   bool
	generation int // counts attachments
	dfuMode    bool
	configured byte
	dfu        dfu
}

// Attachment returns whether the device is on the bus, and a number that
// changes each time it comes to it. See Device.Changed.
func (u *USB) Attachment() (generation int, attached bool) {
	u.d.mu.Lock()
	defer u.d.mu.Unlock()
	return u.generation, u.attached
}

// BusReset is what a host does to a port.
func (u *USB) BusReset() error {
	u.d.mu.Lock()
	defer u.d.mu.Unlock()
	if !u.attached {
		return ErrGone
	}
	u.configured = 0
	u.dfu.alt = 0
	if u.dfu.state == appDETACH && u.d.opts.HostDetach && u.d.opts.Stack == StackLegacy {
		u.unplug()
		u.plug(true)
	}
	return nil
}

// A Connection is a host's handle of one attachment: when the device leaves,
// it is dead, also when the device comes back.
type Connection struct {
	u          *USB
	generation int
}

// Open returns a handle of the device on the bus.
func (u *USB) Open() (*Connection, error) {
	generation, attached := u.Attachment()
	if !attached {
		return nil, ErrGone
	}
	return &Connection{u, generation}, nil
}

// Control carries out one request on endpoint 0: requestType has the direction
// in its top bit; data is sent, or filled. It returns how many bytes were.
func (c *Connection) Control(requestType, request uint8, value, index uint16, data []byte) (n int, err error) {
	c.u.d.mu.Lock()
	defer c.u.d.mu.Unlock()
	if c.u.generation != c.generation {
		return 0, ErrGone
	}
	return c.u.control(requestType, request, value, index, data)
}

// Control is that of a Connection opened just now.
func (u *USB) Control(requestType, request uint8, value, index uint16, data []byte) (n int, err error) {
	u.d.mu.Lock()
	defer u.d.mu.Unlock()
	return u.control(requestType, request, value, index, data)
}

func (u *USB) control(requestType, request uint8, value, index uint16, data []byte) (n int, err error) {
	switch {
	case !u.attached:
		return 0, ErrGone
	case u.d.requested():
		return 0, ErrTimeout
	}
	switch requestType & 0x60 {
	case 0x00:
		n, err = u.standard(requestType, request, value, index, data)
	case 0x20:
		n, err = u.class(requestType, request, value, index, data)
	default:
		err = ErrStall
	}
	if u.d.settle(); !u.d.on {
		return 0, ErrGone
	}
	return n, err
}

// Standard requests, USB 2.0 §9.4.
const (
	getStatus        = 0
	clearFeature     = 1
	setFeature       = 3
	setAddress       = 5
	getDescriptor    = 6
	getConfiguration = 8
	setConfiguration = 9
	getInterface     = 10
	setInterface     = 11
)

func (u *USB) standard(requestType, request uint8, value, index uint16, data []byte) (int, error) {
	in := requestType&0x80 != 0
	switch {
	case request == getStatus && in:
		return copy(data, []byte{0, 0}), nil
	case request == getDescriptor && in:
		return u.descriptor(byte(value>>8), byte(value), data)
	case request == getConfiguration && in:
		return copy(data, []byte{u.configured}), nil
	case request == getInterface && in && index == 0:
		return copy(data, []byte{u.dfu.alt}), nil
	case request == setConfiguration && value <= 1:
		u.configured, u.dfu.alt = byte(value), 0
		return 0, nil
	case request == setInterface && index == 0 && int(value) < u.alternates():
		u.dfu.alt, u.dfu.chosen = byte(value), true
		return 0, nil
	case request == setAddress, request == clearFeature, request == setFeature:
		return 0, nil
	}
	return 0, ErrStall
}

// Descriptor types.
const (
	descDevice    = 1
	descConfig    = 2
	descString    = 3
	descInterface = 4
	descDFU       = 0x21
)

func (u *USB) descriptor(kind, number byte, data []byte) (int, error) {
	switch kind {
	case descDevice:
		return copy(data, u.deviceDescriptor()), nil
	case descConfig:
		if number == 0 {
			return copy(data, u.configDescriptor()), nil
		}
	case descString:
		if number == 0 {
			return copy(data, []byte{4, descString, 0x09, 0x04}), nil // English
		}
		if s, ok := u.strings()[number]; ok {
			return copy(data, stringDescriptor(s)), nil
		}
	}
	return 0, ErrStall
}

func stringDescriptor(s string) []byte {
	p := []byte{0, descString}
	for _, c := range utf16.Encode([]rune(s)) {
		p = binary.LittleEndian.AppendUint16(p, c)
	}
	p = p[:min(len(p), 254)]
	p[0] = byte(len(p))
	return p
}

// From here on, d.mu is held.

// plug brings the device to the bus, as an application or in DFU mode.
func (u *USB) plug(dfuMode bool) {
	u.attached, u.dfuMode, u.configured = true, dfuMode, 0
	u.generation++
	u.dfu = dfu{state: appIDLE}
	if dfuMode {
		u.dfu.state = dfuIDLE
	}
	u.d.tell()
}

func (u *USB) unplug() {
	if u.attached {
		u.attached = false
		u.d.tell()
	}
}
