package mcuboot

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// MaxImage bounds a payload, in bytes. Microcontrollers with more flash than
// that boot otherwise.
const MaxImage = 64 << 20

// An Image is a parsed image. Its slices are parts of what was parsed.
//
//	header, padded to its size | payload | protected TLVs, if any | TLVs
type Image struct {
	Header      Header
	Payload     []byte
	Protected   []TLV
	Unprotected []TLV

	signed []byte // header, payload and protected TLVs: what is hashed
	size   int
}

// Parse reads the image that p begins with, and returns what follows it: in a
// slot, erased flash and a trailer.
func Parse(p []byte) (im *Image, rest []byte, err error) {
	im = &Image{}
	if im.Header, err = ParseHeader(p); err != nil {
		return nil, nil, err
	}
	h := im.Header
	head, body := int(h.Size), int(h.Size)+int(h.PayloadSize)
	if body > len(p) {
		return nil, nil, fmt.Errorf("%w: header and payload of %d bytes, %d are there", ErrFormat, body, len(p))
	}
	im.Payload, rest = p[head:body:body], p[body:]
	if h.ProtectedSize != 0 {
		if im.Protected, rest, err = parseArea(rest, magicProtected); err != nil {
			return nil, nil, err
		}
		if n := len(p) - len(rest) - body; n != int(h.ProtectedSize) {
			return nil, nil, fmt.Errorf("%w: protected TLVs of %d bytes, the header says %d", ErrFormat, n, h.ProtectedSize)
		}
	}
	end := len(p) - len(rest)
	im.signed = p[:end:end]
	if im.Unprotected, rest, err = parseArea(rest, magicUnprotected); err != nil {
		return nil, nil, err
	}
	im.size = len(p) - len(rest)
	return im, rest, im.check()
}

// check refuses what MCUboot refuses by its list of types: what stands in the
// area that no hash covers must be known.
func (im *Image) check() error {
	for _, t := range im.Unprotected {
		if known, ok := types[t.Type]; !ok || known.protected {
			return fmt.Errorf("%w: %v in the area that is not protected", ErrFormat, t.Type)
		}
	}
	for _, t := range im.Protected {
		if known, ok := types[t.Type]; ok && !known.protected {
			return fmt.Errorf("%w: %v in the protected area", ErrFormat, t.Type)
		}
	}
	if _, err := im.Dependencies(); err != nil {
		return err
	}
	_, _, err := im.counter()
	return err
}

// Size is how many bytes the image has, TLVs included.
func (im *Image) Size() int { return im.size }

// find returns the values of a type.
func find(all []TLV, t Type) (values [][]byte) {
	for _, v := range all {
		if v.Type == t {
			values = append(values, v.Value)
		}
	}
	return values
}

// SecurityCounter returns the image's security counter, and whether it has one.
func (im *Image) SecurityCounter() (uint32, bool) {
	n, ok, _ := im.counter() // Parse saw the error
	return n, ok
}

func (im *Image) counter() (uint32, bool, error) {
	switch v := find(im.Protected, TypeCounter); {
	case len(v) == 0:
		return 0, false, nil
	case len(v) > 1 || len(v[0]) != 4:
		return 0, false, fmt.Errorf("%w: more than one security counter, or one that is not four bytes", ErrFormat)
	default:
		return binary.LittleEndian.Uint32(v[0]), true, nil
	}
}

// A Dependency is another image of the same device that must be there, and
// not be older than Version.
type Dependency struct {
	Image   uint8 // its number
	Version Version
}

const dependencySize = 12

// Dependencies returns what the image needs.
func (im *Image) Dependencies() ([]Dependency, error) {
	var all []Dependency
	for _, v := range find(im.Protected, TypeDependency) {
		if len(v) != dependencySize {
			return nil, fmt.Errorf("%w: dependency of %d bytes", ErrFormat, len(v))
		}
		all = append(all, Dependency{v[0], Version{v[4], v[5], binary.LittleEndian.Uint16(v[6:]), binary.LittleEndian.Uint32(v[8:])}})
	}
	return all, nil
}

func (d Dependency) tlv() TLV {
	v := []byte{d.Image, 0, 0, 0, d.Version.Major, d.Version.Minor}
	v = binary.LittleEndian.AppendUint16(v, d.Version.Revision)
	return TLV{TypeDependency, binary.LittleEndian.AppendUint32(v, d.Version.Build)}
}

// Hash returns the image's hash as it stands in it; SMP names images by it.
func (im *Image) Hash() []byte {
	for _, t := range []Type{TypeSHA256, TypeSHA384, TypeSHA512} {
		if v := find(im.Unprotected, t); len(v) > 0 {
			return bytes.Clone(v[0])
		}
	}
	return nil
}
