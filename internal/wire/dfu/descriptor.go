package dfu

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Types of descriptors, USB 2.0 §9.4 and DFU 1.1 §4.1.3.
const (
	typeDevice     = 1
	typeInterface  = 4
	typeFunctional = 0x21
)

// Sizes of descriptors, in bytes.
const (
	deviceSize     = 18
	interfaceSize  = 9
	functionalSize = 9
	shortSize      = 7 // of DFU 1.0's functional descriptor, without a version
)

// MaxDescriptors bounds the descriptors of a device, in bytes.
const MaxDescriptors = 64 << 10

// Attributes of a functional descriptor.
const (
	CanDownload           = 1 << iota
	CanUpload             // it can be read
	ManifestationTolerant // it answers after a download
	WillDetach            // it leaves the bus by itself after Detach
)

// Versions in a functional descriptor.
const (
	Version10 = 0x0100
	Version11 = 0x0110
	VersionSe = 0x011a // DfuSe
)

// A Functional is DFU's functional descriptor.
type Functional struct {
	Attributes    uint8
	DetachTimeout uint16 // milliseconds in which a host must reset the bus after Detach, without WillDetach
	TransferSize  uint16 // most bytes of one block
	Version       uint16 // BCD; Version10 when the descriptor has none
}

// Has reports whether all of these attributes are set.
func (f Functional) Has(attributes uint8) bool { return f.Attributes&attributes == attributes }

// AppendFunctional appends f, in 9 bytes.
func AppendFunctional(dst []byte, f Functional) []byte {
	dst = append(dst, functionalSize, typeFunctional, f.Attributes)
	dst = binary.LittleEndian.AppendUint16(dst, f.DetachTimeout)
	dst = binary.LittleEndian.AppendUint16(dst, f.TransferSize)
	return binary.LittleEndian.AppendUint16(dst, f.Version)
}

// ParseFunctional reads one of 9 bytes, or DFU 1.0's of 7.
func ParseFunctional(src []byte) (f Functional, rest []byte, err error) {
	if len(src) < shortSize || int(src[0]) > len(src) {
		return f, src, fmt.Errorf("parse functional descriptor: %w: %d", ErrShort, len(src))
	}
	if src[1] != typeFunctional || src[0] != shortSize && src[0] != functionalSize {
		return f, src, fmt.Errorf("parse functional descriptor: type %#x of %d bytes", src[1], src[0])
	}
	f = Functional{src[2], binary.LittleEndian.Uint16(src[3:]), binary.LittleEndian.Uint16(src[5:]), Version10}
	if src[0] == functionalSize {
		f.Version = binary.LittleEndian.Uint16(src[7:])
	}
	return f, src[src[0]:], nil
}

// A Device is what the descriptors of a USB device say, as far as DFU goes.
// Strings are by their numbers; 0 is none.
type Device struct {
	Vendor, Product, Release uint16 // Release is bcdDevice
	VendorString             uint8
	ProductString            uint8
	SerialString             uint8
	Interfaces               []Interface
}

// An Interface is one alternate setting of one.
type Interface struct {
	Number, Alternate         uint8
	Class, Subclass, Protocol uint8
	String                    uint8
	Functional                *Functional // of its interface; nil: none
}

// IsDFU reports whether the interface is of the class, in this mode.
func (i Interface) IsDFU(protocol uint8) bool {
	return i.Class == Class && i.Subclass == Subclass && i.Protocol == protocol
}

// ParseDevice reads a device descriptor and the configurations that follow it,
// as Linux has them in a device's file `descriptors`. A functional descriptor
// that is broken is as if it were not there.
func ParseDevice(src []byte) (d Device, err error) {
	if len(src) < deviceSize || src[0] != deviceSize || src[1] != typeDevice {
		return d, errors.New("parse descriptors: no device descriptor")
	}
	if len(src) > MaxDescriptors {
		return d, fmt.Errorf("parse descriptors: %d bytes, at most %d", len(src), MaxDescriptors)
	}
	d = Device{
		Vendor: binary.LittleEndian.Uint16(src[8:]), Product: binary.LittleEndian.Uint16(src[10:]),
		Release: binary.LittleEndian.Uint16(src[12:]), VendorString: src[14], ProductString: src[15], SerialString: src[16],
	}
	for src = src[deviceSize:]; len(src) > 0; src = src[src[0]:] {
		if src[0] < 2 || int(src[0]) > len(src) {
			return d, fmt.Errorf("parse descriptors: one of %d bytes, %d are left", src[0], len(src))
		}
		d.add(src[:src[0]])
	}
	return d, nil
}

func (d *Device) add(p []byte) {
	switch {
	case p[1] == typeInterface && len(p) >= interfaceSize:
		d.Interfaces = append(d.Interfaces, Interface{Number: p[2], Alternate: p[3], Class: p[5], Subclass: p[6], Protocol: p[7], String: p[8]})
	case p[1] == typeFunctional && len(d.Interfaces) > 0:
		f, _, err := ParseFunctional(p)
		last := d.Interfaces[len(d.Interfaces)-1]
		if err != nil || last.Class != Class || last.Subclass != Subclass {
			return // 0x21 is other classes', too
		}
		for i := range d.Interfaces { // one descriptor is for all settings of an interface
			if d.Interfaces[i].Number == last.Number && d.Interfaces[i].Functional == nil {
				d.Interfaces[i].Functional = &f
			}
		}
	}
}
