// Package smp has the bytes of the Simple Management Protocol, by which
// Zephyr's MCUmgr and MCUboot's serial recovery take images: packets, their
// messages, errors of both versions, and lines on a console. It knows both
// directions and opens nothing. FORMAT.md draws it.
package smp

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// HeaderSize is that of a packet, in bytes.
const HeaderSize = 8

// MaxPacket bounds a packet with its header, in bytes.
const MaxPacket = HeaderSize + 0xffff

// ErrPacket is a packet that is none.
var ErrPacket = errors.New("not an SMP packet")

// An Op is what a packet does.
type Op uint8

// The ops. An answer is its request plus one.
const (
	Read       Op = 0
	ReadAnswer Op = 1
	Write      Op = 2
	WriteDone  Op = 3
)

// Versions of the protocol, as a header has them.
const (
	V1 = 0
	V2 = 1
)

// Groups.
const (
	GroupOS    = 0
	GroupImage = 1
)

// A Command is one of a group.
type Command struct {
	Group uint16
	ID    uint8
}

// The commands that are known here.
var (
	Echo   = Command{GroupOS, 0}
	Reset  = Command{GroupOS, 5}
	Params = Command{GroupOS, 6}
	Loader = Command{GroupOS, 8}
	State  = Command{GroupImage, 0}
	Upload = Command{GroupImage, 1}
	Erase  = Command{GroupImage, 5}
	Slots  = Command{GroupImage, 6}
)

// A Packet is one message with its header.
type Packet struct {
	Op       Op
	Version  uint8 // V1 or V2
	Command  Command
	Sequence uint8
	Body     []byte // a CBOR map
}

// AppendPacket appends p. Flags and reserved bits are zero.
func AppendPacket(dst []byte, p Packet) ([]byte, error) {
	if p.Op > WriteDone || p.Version > V2 || len(p.Body) > MaxPacket-HeaderSize {
		return dst, fmt.Errorf("append packet: %w: op %d, version %d, %d bytes", ErrPacket, p.Op, p.Version, len(p.Body))
	}
	dst = append(dst, p.Version<<3|byte(p.Op), 0)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(p.Body)))
	dst = binary.BigEndian.AppendUint16(dst, p.Command.Group)
	return append(append(dst, p.Sequence, p.Command.ID), p.Body...), nil
}

// ParsePacket reads a packet; Body is part of src. Flags and reserved bits
// may be anything.
func ParsePacket(src []byte) (p Packet, rest []byte, err error) {
	if len(src) < HeaderSize {
		return p, src, fmt.Errorf("parse packet: %w: %d bytes", ErrPacket, len(src))
	}
	p = Packet{
		Op: Op(src[0] & 7), Version: src[0] >> 3 & 3,
		Command: Command{binary.BigEndian.Uint16(src[4:]), src[7]}, Sequence: src[6],
	}
	end := HeaderSize + int(binary.BigEndian.Uint16(src[2:]))
	if p.Op > WriteDone || p.Version > V2 || end > len(src) {
		return Packet{}, src, fmt.Errorf("parse packet: %w: op %d, version %d, %d bytes of %d", ErrPacket, p.Op, p.Version, len(src), end)
	}
	p.Body = src[HeaderSize:end:end]
	return p, src[end:], nil
}

// Answers reports whether p is the answer to a request.
func (p Packet) Answers(request Packet) bool {
	return p.Op == request.Op+1 && p.Command == request.Command && p.Sequence == request.Sequence
}

// Answer is the packet that answers p with a body, in p's version.
func (p Packet) Answer(body []byte) Packet {
	p.Op, p.Body = p.Op+1, body
	return p
}
