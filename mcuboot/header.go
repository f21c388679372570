package mcuboot

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// HeaderSize is the size of what stands in a header, in bytes. The header
// itself is often longer: the payload is a vector table and wants alignment.
const HeaderSize = 32

const (
	headerMagic = 0x96f3b83d
	oldMagic    = 0x96f3b83c
)

// Flags of a header.
const (
	FlagPIC         = 0x1
	FlagAES128      = 0x4
	FlagAES256      = 0x8
	FlagNonBootable = 0x10
	FlagRAMLoad     = 0x20
	FlagROMFixed    = 0x100
	FlagLZMA1       = 0x200
	FlagLZMA2       = 0x400
	FlagThumb       = 0x800

	knownFlags = FlagPIC | FlagAES128 | FlagAES256 | FlagNonBootable | FlagRAMLoad | FlagROMFixed | FlagLZMA1 | FlagLZMA2 | FlagThumb
)

// A Header begins an image.
type Header struct {
	LoadAddress   uint32 // in RAM with FlagRAMLoad, in flash with FlagROMFixed, else 0
	Size          uint16 // of the whole header, padding included, in bytes
	ProtectedSize uint16 // of the protected TLV area, its own head included; 0: none
	PayloadSize   uint32 // in bytes
	Flags         uint32
	Version       Version
}

// Errors for callers that branch.
var (
	ErrFormat = errors.New("not an MCUboot image")
	ErrOld    = errors.New("image of the first MCUboot format, which no MCUboot boots any more")
)

// AppendHeader appends the first HeaderSize bytes of h, all little-endian.
//
//	 0 4 magic 3d b8 f3 96   4 4 load address   8 2 header size   10 2 protected TLV size
//	12 4 payload size       16 4 flags         20 1 major 21 1 minor 22 2 revision 24 4 build
//	28 4 zero
func AppendHeader(dst []byte, h Header) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, headerMagic)
	dst = le.AppendUint32(dst, h.LoadAddress)
	dst = le.AppendUint16(dst, h.Size)
	dst = le.AppendUint16(dst, h.ProtectedSize)
	dst = le.AppendUint32(dst, h.PayloadSize)
	dst = le.AppendUint32(dst, h.Flags)
	dst = append(dst, h.Version.Major, h.Version.Minor)
	dst = le.AppendUint16(dst, h.Version.Revision)
	dst = le.AppendUint32(dst, h.Version.Build)
	return le.AppendUint32(dst, 0)
}

// ParseHeader reads the first HeaderSize bytes of an image.
func ParseHeader(p []byte) (Header, error) {
	if len(p) < HeaderSize {
		return Header{}, fmt.Errorf("%w: %d bytes", ErrFormat, len(p))
	}
	le := binary.LittleEndian
	switch magic := le.Uint32(p); magic {
	case headerMagic:
	case oldMagic:
		return Header{}, ErrOld
	default:
		return Header{}, fmt.Errorf("%w: it begins with %x", ErrFormat, p[:4])
	}
	h := Header{
		LoadAddress: le.Uint32(p[4:]), Size: le.Uint16(p[8:]), ProtectedSize: le.Uint16(p[10:]), PayloadSize: le.Uint32(p[12:]),
		Flags: le.Uint32(p[16:]), Version: Version{p[20], p[21], le.Uint16(p[22:]), le.Uint32(p[24:])},
	}
	return h, h.check()
}

func (h Header) check() error {
	switch {
	case h.Size < HeaderSize:
		return fmt.Errorf("%w: header of %d bytes", ErrFormat, h.Size)
	case h.Flags&^knownFlags != 0:
		return fmt.Errorf("%w: unknown flags %#x", ErrFormat, h.Flags&^knownFlags)
	case h.Flags&FlagAES128 != 0 && h.Flags&FlagAES256 != 0:
		return fmt.Errorf("%w: encrypted with two key sizes", ErrFormat)
	case h.PayloadSize > MaxImage:
		return fmt.Errorf("%w: payload of %d bytes, at most %d", ErrFormat, h.PayloadSize, MaxImage)
	}
	return nil
}

// Encrypted reports whether the payload is.
func (h Header) Encrypted() bool { return h.Flags&(FlagAES128|FlagAES256) != 0 }

// contentKey is the length of the key that the payload is encrypted with.
func (h Header) contentKey() int {
	if h.Flags&FlagAES256 != 0 {
		return 32
	}
	return 16
}
