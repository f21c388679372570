package dfutest

import (
	"encoding/binary"
	"sync"
	"syscall"
	"time"
	"unicode/utf16"

	wire "github.com/moult-ota/moult/internal/wire/dfu"
)

// A Device is a gadget with DFU. Set its fields before it is plugged in.
type Device struct {
	Vendor, Product, ProductDFU, Release uint16
	Functional                           wire.Functional
	Name, Serial, Version                string   // strings; Version is the runtime interface's
	Alts                                 []string // names of the settings in DFU mode
	NoDFU                                bool     // the application has no DFU interface
	Poll                                 uint32   // milliseconds that GETSTATUS tells
	Erase                                time.Duration
	Deaf                                 bool // a bus reset does not end DFU mode
	Boot                                 func(d *Device)

	// Faults. Downloads count DNLOAD requests from 1; 0: never.
	StuckAt  int // request of the class from which nothing is answered
	StallAt  int // download that stalls
	FailAt   int // download that ends in dfuERROR
	FailCode wire.Code
	GoneAt   int  // download at which it leaves for good
	Leaves   bool // it leaves at the first GETSTATUS after the last block, and starts its application

	mu         sync.Mutex
	generation int
	detached   bool // off the bus
	dfuMode    bool
	alt        uint8
	state      wire.State
	code       wire.Code
	busy       time.Time // until then
	requests   int
	downloads  int
	blocks     []uint16
	image      []byte
	memory     *memory // of DfuSe
}

var _ Gadget = (*Device)(nil)

// Start says in which mode the device is.
func (d *Device) Start(dfuMode bool) *Device {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.start(dfuMode)
	return d
}

func (d *Device) start(dfuMode bool) {
	d.generation++
	d.detached, d.dfuMode, d.alt, d.state, d.code = false, dfuMode, 0, wire.AppIdle, wire.OK
	if dfuMode {
		d.state = wire.Idle
	} else if d.Boot != nil {
		d.Boot(d)
	}
}

// Image is what came, with the numbers of its blocks.
func (d *Device) Image() (image []byte, blocks []uint16) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.image, d.blocks
}

// Requests is how many requests of the class there were, and how many of them
// were downloads.
func (d *Device) Requests() (all, downloads int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.requests, d.downloads
}

// State is that of the class.
func (d *Device) State() (state wire.State, inDFU bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state, d.dfuMode
}

// Attachment is a Gadget's.
func (d *Device) Attachment() (int, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.generation, !d.detached
}

// BusReset ends DFU mode, and begins it after DETACH.
func (d *Device) BusReset() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.detached:
		return syscall.ENODEV
	case d.dfuMode && !d.Deaf, d.state == wire.AppDetach:
		d.start(!d.dfuMode)
	}
	return nil
}

// Numbers of strings; those of settings follow.
const (
	stringVendor = iota + 1
	stringName
	stringSerial
	stringVersion
	stringAlt
)

// Descriptors is a Gadget's.
func (d *Device) Descriptors() (device, config []byte, strings map[uint8]string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	product := d.Product
	strings = map[uint8]string{stringVendor: "Moult", stringName: d.Name, stringSerial: d.Serial}
	var body []byte
	switch {
	case d.dfuMode:
		product = d.ProductDFU
		for n, name := range d.Alts {
			strings[stringAlt+uint8(n)] = name
			body = append(body, 9, 4, 0, byte(n), 0, wire.Class, wire.Subclass, wire.ProtocolDFU, stringAlt+byte(n))
		}
		body = wire.AppendFunctional(body, d.Functional)
	case d.NoDFU:
		body = append(body, 9, 4, 0, 0, 0, 0xff, 0, 0, 0)
	default:
		strings[stringVersion] = d.Version
		body = append(body, 9, 4, 0, 0, 0, wire.Class, wire.Subclass, wire.ProtocolRuntime, stringVersion)
		body = wire.AppendFunctional(body, d.Functional)
	}
	device = []byte{18, 1, 0, 2, 0, 0, 0, 64}
	for _, v := range []uint16{d.Vendor, product, d.Release} {
		device = binary.LittleEndian.AppendUint16(device, v)
	}
	config = binary.LittleEndian.AppendUint16([]byte{9, 2}, uint16(9+len(body)))
	return append(device, stringVendor, stringName, stringSerial, 1), append(append(config, 1, 1, 0, 0x80, 50), body...), strings
}

func stringDescriptor(text string) []byte {
	p := []byte{0, 3}
	for _, c := range utf16.Encode([]rune(text)) {
		p = binary.LittleEndian.AppendUint16(p, c)
	}
	p[0] = byte(len(p))
	return p
}
