package mcuboot

import (
	"encoding/binary"
	"fmt"
)

// A Type says what a TLV holds.
type Type uint16

// The types that are known here.
const (
	TypeKeyHash    Type = 0x01
	TypePublicKey  Type = 0x02
	TypeSHA256     Type = 0x10
	TypeSHA384     Type = 0x11
	TypeSHA512     Type = 0x12
	TypeRSA2048    Type = 0x20
	TypeECDSA      Type = 0x22
	TypeRSA3072    Type = 0x23
	TypeEd25519    Type = 0x24
	TypePure       Type = 0x25
	TypeEncRSA     Type = 0x30
	TypeEncKW      Type = 0x31
	TypeEncP256    Type = 0x32
	TypeEncX25519  Type = 0x33
	TypeDependency Type = 0x40
	TypeCounter    Type = 0x50
	TypeRecord     Type = 0x60
	TypeVendorID   Type = 0x74
	TypeClassID    Type = 0x75
)

// names are for people; protected says that a type stands in the protected
// area, where the hash covers it.
var types = map[Type]struct {
	name      string
	protected bool
}{
	TypeKeyHash: {"key hash", false}, TypePublicKey: {"public key", false}, TypeSHA256: {"SHA-256", false}, TypeSHA384: {"SHA-384", false},
	TypeSHA512: {"SHA-512", false}, TypeRSA2048: {"RSA-2048 signature", false}, TypeECDSA: {"ECDSA signature", false},
	TypeRSA3072: {"RSA-3072 signature", false}, TypeEd25519: {"Ed25519 signature", false}, TypePure: {"pure signature", false},
	TypeEncRSA: {"key for RSA", false}, TypeEncKW: {"key for AES key wrap", false}, TypeEncP256: {"key for P-256", false},
	TypeEncX25519: {"key for X25519", false}, TypeDependency: {"dependency", true}, TypeCounter: {"security counter", true},
	TypeRecord: {"boot record", true}, TypeVendorID: {"vendor id", true}, TypeClassID: {"class id", true},
}

func (t Type) String() string {
	if n, ok := types[t]; ok {
		return n.name
	}
	return fmt.Sprintf("type %#04x", uint16(t))
}

// A TLV is one entry of an area.
type TLV struct {
	Type  Type
	Value []byte
}

const (
	magicProtected   = 0x6908
	magicUnprotected = 0x6907
	areaHead         = 4 // magic and total, in bytes; an entry's head is as long
)

// appendArea appends an area: magic, total length, entries.
func appendArea(dst []byte, magic uint16, all []TLV) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint16(dst, magic)
	dst = le.AppendUint16(dst, uint16(areaSize(all)))
	for _, t := range all {
		dst = le.AppendUint16(dst, uint16(t.Type))
		dst = le.AppendUint16(dst, uint16(len(t.Value)))
		dst = append(dst, t.Value...)
	}
	return dst
}

func areaSize(all []TLV) int {
	n := areaHead
	for _, t := range all {
		n += areaHead + len(t.Value)
	}
	return n
}

// parseArea reads an area, and returns what follows it.
func parseArea(p []byte, magic uint16) (all []TLV, rest []byte, err error) {
	le := binary.LittleEndian
	if len(p) < areaHead {
		return nil, nil, fmt.Errorf("%w: it ends where a TLV area begins", ErrFormat)
	}
	if got := le.Uint16(p); got != magic {
		return nil, nil, fmt.Errorf("%w: TLV area begins with %#04x, want %#04x", ErrFormat, got, magic)
	}
	total := int(le.Uint16(p[2:]))
	if total < areaHead || total > len(p) {
		return nil, nil, fmt.Errorf("%w: TLV area of %d bytes, %d are there", ErrFormat, total, len(p))
	}
	rest, p = p[total:], p[areaHead:total]
	for len(p) > 0 {
		if len(p) < areaHead {
			return nil, nil, fmt.Errorf("%w: TLV area ends within an entry", ErrFormat)
		}
		t, n := Type(le.Uint16(p)), int(le.Uint16(p[2:]))
		p = p[areaHead:]
		if n > len(p) {
			return nil, nil, fmt.Errorf("%w: %v of %d bytes, %d are there", ErrFormat, t, n, len(p))
		}
		all = append(all, TLV{t, p[:n:n]})
		p = p[n:]
	}
	return all, rest, nil
}
