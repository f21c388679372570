package slot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// Limits of a descriptor.
const (
	DescriptorSize = 4096 // room at the end of a slot
	MaxText        = 255  // bytes of each text
	MaxExcerpt     = 3072 // bytes of what was signed
)

var (
	// ErrEmpty means that the slot holds no image: its descriptor is blank or
	// was invalidated.
	ErrEmpty = errors.New("slot holds no image")
	// ErrDescriptor means that the slot's descriptor cannot be read.
	ErrDescriptor = errors.New("slot descriptor is damaged")
)

// A Descriptor says what a slot holds. It is written after the image was
// written and read back, and invalidated before the image is first touched.
// FORMAT.md is its reference.
type Descriptor struct {
	Length     int64    // bytes of the image
	SHA256     [32]byte // of the image
	Security   uint32   // security version; compared with the floor
	Artifact   string   // artifact name, what `provides` calls artifact_name
	Version    string   // software version, when it is not the artifact name
	DeviceType string
	Excerpt    []byte // what was signed, or nil: what a loader with a key checks
}

const (
	descriptorMagic  = "MSD1"
	descriptorFormat = 1
	descriptorFixed  = 56 // bytes before the texts
)

// AppendDescriptor appends the DescriptorSize bytes of d to dst.
//
//	 0  4 magic "MSD1"
//	 4  2 format, 1
//	 6  2 bytes in use, CRC included
//	 8  8 image length
//	16 32 SHA-256 of the image
//	48  4 security version
//	52  4 reserved, 0
//	56    artifact, version, device type: each 1 byte length, text
//	      excerpt: 2 bytes length, bytes
//	      4 CRC-32 (IEEE) of all before
//	      zeros to 4096
func AppendDescriptor(dst []byte, d Descriptor) ([]byte, error) {
	if d.Length < 0 {
		return dst, fmt.Errorf("encode slot descriptor: image length %d is negative", d.Length)
	}
	if len(d.Excerpt) > MaxExcerpt {
		return dst, fmt.Errorf("encode slot descriptor: excerpt of %d bytes, at most %d", len(d.Excerpt), MaxExcerpt)
	}
	start := len(dst)
	dst = append(dst, descriptorMagic...)
	dst = binary.LittleEndian.AppendUint16(dst, descriptorFormat)
	dst = binary.LittleEndian.AppendUint16(dst, 0) // bytes in use, set below
	dst = binary.LittleEndian.AppendUint64(dst, uint64(d.Length))
	dst = append(dst, d.SHA256[:]...)
	dst = binary.LittleEndian.AppendUint32(dst, d.Security)
	dst = append(dst, 0, 0, 0, 0)
	for _, text := range []string{d.Artifact, d.Version, d.DeviceType} {
		if len(text) > MaxText {
			return dst[:start], fmt.Errorf("encode slot descriptor: text of %d bytes, at most %d", len(text), MaxText)
		}
		dst = append(append(dst, byte(len(text))), text...)
	}
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(d.Excerpt)))
	dst = append(dst, d.Excerpt...)
	binary.LittleEndian.PutUint16(dst[start+6:], uint16(len(dst)-start+4))
	dst = binary.LittleEndian.AppendUint32(dst, crc32.ChecksumIEEE(dst[start:]))
	return append(dst, make([]byte, start+DescriptorSize-len(dst))...), nil
}

// ParseDescriptor reads the descriptor at the start of src and returns what
// follows it. A blank place (all zeros, or erased flash) is ErrEmpty;
// everything that AppendDescriptor would not have written is ErrDescriptor.
func ParseDescriptor(src []byte) (d Descriptor, rest []byte, err error) {
	if len(src) < DescriptorSize {
		return d, src, fmt.Errorf("parse slot descriptor: %d bytes, want %d: %w", len(src), DescriptorSize, ErrDescriptor)
	}
	page, rest := src[:DescriptorSize], src[DescriptorSize:]
	if blank(page) {
		return d, src, fmt.Errorf("parse slot descriptor: %w", ErrEmpty)
	}
	used := int(binary.LittleEndian.Uint16(page[6:]))
	if string(page[:4]) != descriptorMagic || used < descriptorFixed+9 || used > DescriptorSize {
		return d, src, fmt.Errorf("parse slot descriptor: no magic: %w", ErrDescriptor)
	}
	if crc32.ChecksumIEEE(page[:used-4]) != binary.LittleEndian.Uint32(page[used-4:]) {
		return d, src, fmt.Errorf("parse slot descriptor: checksum: %w", ErrDescriptor)
	}
	if f := binary.LittleEndian.Uint16(page[4:]); f != descriptorFormat {
		return d, src, fmt.Errorf("parse slot descriptor: format %d, want %d: %w", f, descriptorFormat, ErrDescriptor)
	}
	d, ok := parseFields(page[:used-4])
	if !ok || !reencodes(d, page) {
		return Descriptor{}, src, fmt.Errorf("parse slot descriptor: fields: %w", ErrDescriptor)
	}
	return d, rest, nil
}

// parseFields reads the fields of a page whose checksum holds.
func parseFields(p []byte) (d Descriptor, ok bool) {
	d.Length = int64(binary.LittleEndian.Uint64(p[8:]))
	copy(d.SHA256[:], p[16:])
	d.Security = binary.LittleEndian.Uint32(p[48:])
	p = p[descriptorFixed:]
	for _, text := range []*string{&d.Artifact, &d.Version, &d.DeviceType} {
		if len(p) == 0 || len(p) < 1+int(p[0]) {
			return d, false
		}
		*text, p = string(p[1:1+int(p[0])]), p[1+int(p[0]):]
	}
	if len(p) < 2 {
		return d, false
	}
	n := int(binary.LittleEndian.Uint16(p))
	if p = p[2:]; len(p) != n {
		return d, false
	}
	if n > 0 {
		d.Excerpt = bytes.Clone(p)
	}
	return d, true
}

// reencodes reports whether page is exactly what d is written as, so that no
// byte of it goes unread.
func reencodes(d Descriptor, page []byte) bool {
	again, err := AppendDescriptor(nil, d)
	return err == nil && bytes.Equal(again, page)
}

// blank reports whether p is all zeros or all 0xff.
func blank(p []byte) bool {
	if p[0] != 0x00 && p[0] != 0xff {
		return false
	}
	for _, b := range p {
		if b != p[0] {
			return false
		}
	}
	return true
}
