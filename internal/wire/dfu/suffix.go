package dfu

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// SuffixSize is that of a suffix as it is written here, in bytes.
const SuffixSize = 16

// Any, as an id in a suffix, fits every device.
const Any = 0xffff

// A Suffix ends a file and says which devices it is for.
type Suffix struct {
	Release, Product, Vendor uint16 // Any: whatever the device has
	Version                  uint16 // Version10, or VersionSe before a container
}

// Errors of a suffix.
var (
	ErrSuffix = errors.New("damaged DFU suffix")
	ErrOther  = errors.New("DFU suffix is for another device")
)

// AppendSuffix appends to file the suffix that fits it.
func AppendSuffix(file []byte, s Suffix) []byte {
	for _, v := range []uint16{s.Release, s.Product, s.Vendor, s.Version} {
		file = binary.LittleEndian.AppendUint16(file, v)
	}
	file = append(file, 'U', 'F', 'D', SuffixSize)
	return binary.LittleEndian.AppendUint32(file, ^crc32.ChecksumIEEE(file))
}

// ParseSuffix cuts the suffix off a file. found is false for a file without
// one. What has the mark and is not whole is ErrSuffix.
func ParseSuffix(file []byte) (s Suffix, body []byte, found bool, err error) {
	if len(file) < SuffixSize {
		return s, file, false, nil
	}
	p := file[len(file)-SuffixSize:]
	size := int(p[11])
	if string(p[8:11]) != "UFD" {
		return s, file, false, nil
	}
	sum := binary.LittleEndian.Uint32(p[12:])
	if size < SuffixSize || size > len(file) || sum != ^crc32.ChecksumIEEE(file[:len(file)-4]) {
		return s, file, true, fmt.Errorf("%w: length %d of %d, checksum %08x", ErrSuffix, size, len(file), sum)
	}
	s = Suffix{
		binary.LittleEndian.Uint16(p), binary.LittleEndian.Uint16(p[2:]),
		binary.LittleEndian.Uint16(p[4:]), binary.LittleEndian.Uint16(p[6:]),
	}
	return s, file[:len(file)-size], true, nil
}

// Fits is ErrOther when the file is not for a device. A device is known by the
// product of its application or of its DFU mode.
func (s Suffix) Fits(vendor uint16, products ...uint16) error {
	fits := s.Product == Any
	for _, p := range products {
		fits = fits || p == s.Product
	}
	if !fits || s.Vendor != Any && s.Vendor != vendor {
		return fmt.Errorf("%w: %04x:%04x, this is %04x:%04x", ErrOther, s.Vendor, s.Product, vendor, products)
	}
	return nil
}
