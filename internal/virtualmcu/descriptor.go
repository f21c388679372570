package virtualmcu

import (
	"encoding/binary"
)

// A Stack is one of Zephyr's USB device stacks.
type Stack int

// The stacks.
const (
	// StackLegacy writes always to slot 1, erases all of it at the first
	// block, and asks the boot loader for a test of what came.
	StackLegacy Stack = iota
	// StackNext wants blocks in sequence and erases as it goes; the
	// application asks the boot loader, unless it forgets (NoRequest).
	StackNext
)

func (s Stack) String() string { return [...]string{"legacy", "next"}[s] }

// Zephyr's default ids.
const (
	Vendor         = 0x2fe3
	ProductRuntime = 0x0100
	ProductDFU     = 0xffff
)

// Numbers of strings.
const (
	stringVendor = iota + 1
	stringProduct
	stringSerial
	stringVersion
	stringAlt // of alternate 0; the others follow
)

// Descriptors returns what the device shows in its present mode; the strings
// are by their numbers.
func (u *USB) Descriptors() (device, config []byte, strings map[uint8]string) {
	u.d.mu.Lock()
	defer u.d.mu.Unlock()
	return u.deviceDescriptor(), u.configDescriptor(), u.strings()
}

func (u *USB) deviceDescriptor() []byte {
	product, release := uint16(ProductRuntime), uint16(0x0100)
	if u.dfuMode {
		product = ProductDFU
	}
	if a := u.d.app; a != nil && u.d.opts.ShowVersion == TellDevice {
		v := a.image.Header.Version
		release = bcd(v.Major)<<8 | bcd(v.Minor)
	}
	p := []byte{18, descDevice, 0x00, 0x02, 0, 0, 0, 64}
	for _, v := range []uint16{Vendor, product, release} {
		p = binary.LittleEndian.AppendUint16(p, v)
	}
	return append(p, stringVendor, stringProduct, stringSerial, 1)
}

// bcd is a number of two decimal digits; larger ones end at 99.
func bcd(n uint8) uint16 {
	n = min(n, 99)
	return uint16(n/10<<4 | n%10)
}

func (u *USB) configDescriptor() []byte {
	var p []byte
	for alt := range u.alternates() {
		p = append(p, u.interfaceDescriptor(byte(alt))...)
	}
	if u.hasDFU() {
		p = append(p, u.dfuDescriptor()...)
	}
	head := []byte{9, descConfig}
	head = binary.LittleEndian.AppendUint16(head, uint16(9+len(p)))
	return append(append(head, 1, 1, 0, 0x80, 50), p...)
}

func (u *USB) interfaceDescriptor(alt byte) []byte {
	class, protocol, name := []byte{0xfe, 0x01}, byte(0x01), byte(stringVersion)
	switch {
	case u.dfuMode:
		protocol, name = 0x02, stringAlt+alt
	case !u.hasDFU():
		class, protocol = []byte{0xff, 0x00}, 0x00
	}
	if !u.dfuMode && u.d.opts.ShowVersion != TellString {
		name = 0
	}
	return append([]byte{9, descInterface, 0, alt, 0}, class[0], class[1], protocol, name)
}

// Attributes of a DFU functional descriptor.
const (
	canDownload = 1 << iota
	canUpload
	tolerant
	willDetach
)

func (u *USB) dfuDescriptor() []byte {
	attributes, timeout := byte(canDownload), uint16(1000)
	if u.d.opts.NoReboot || u.d.opts.Stack == StackNext {
		attributes |= tolerant
	}
	if u.d.opts.Stack == StackNext {
		attributes |= canUpload
		timeout = 0
	}
	if !u.d.opts.HostDetach || u.d.opts.Stack == StackNext {
		attributes |= willDetach
	}
	p := []byte{9, descDFU, attributes}
	for _, v := range []uint16{timeout, uint16(u.d.opts.Transfer), 0x0110} {
		p = binary.LittleEndian.AppendUint16(p, v)
	}
	return p
}

// alternates is how many settings interface 0 has.
func (u *USB) alternates() int {
	if u.dfuMode {
		return 2
	}
	return 1
}

func (u *USB) strings() map[uint8]string {
	all := map[uint8]string{stringVendor: "Moult", stringProduct: u.d.opts.Type, stringSerial: u.d.opts.Name}
	if a := u.d.app; a != nil && u.d.opts.ShowVersion == TellString {
		all[stringVersion] = a.image.Header.Version.String()
	}
	alts := [...]string{"image_0", "image_1"}
	if u.d.opts.Stack == StackNext {
		alts = [...]string{"slot0_image", "slot1_image"}
	}
	if u.dfuMode {
		all[stringAlt], all[stringAlt+1] = alts[0], alts[1]
	}
	return all
}

func (u *USB) hasDFU() bool { return u.dfuMode || u.d.app != nil && !u.d.app.habits.NoDFU }
