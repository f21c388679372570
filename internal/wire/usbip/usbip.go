// Package usbip has the bytes of USB/IP, by which Linux's vhci_hcd has a USB
// device at the other end of a socket: requests and their answers, once a
// device is attached. It knows both directions and opens nothing. FORMAT.md
// draws it.
package usbip

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// HeaderSize is that of every packet, in bytes. Data may follow.
const HeaderSize = 48

// MaxTransfer bounds the data of one transfer, in bytes. Control transfers,
// all that is needed here, have at most 64 KiB.
const MaxTransfer = 64 << 10

// ErrPacket is a packet that is none, or one that is not served here.
var ErrPacket = errors.New("not a USB/IP packet")

// Commands.
const (
	cmdSubmit = 1
	cmdUnlink = 2
	retSubmit = 3
	retUnlink = 4
)

// notIsochronous is the documented number of packets of a transfer without; Linux
// writes 0.
const notIsochronous = 0xffffffff

// A Submit asks for a transfer. What is sent out follows it.
type Submit struct {
	Sequence uint32
	Device   uint32 // bus number << 16 | device number
	In       bool
	Endpoint uint32
	Flags    uint32
	Length   uint32 // bytes to send or to receive at most
	Start    uint32 // frame
	Interval uint32
	Setup    [8]byte // of a control transfer; in USB's order, little-endian
}

// An Unlink takes a Submit back.
type Unlink struct {
	Sequence uint32
	Device   uint32
	In       bool
	Endpoint uint32
	Submit   uint32 // sequence of what is taken back
}

// A Request is a Submit, or an Unlink.
type Request struct {
	Submit *Submit
	Unlink *Unlink
}

// Data is how many bytes follow the header of a request.
func (r Request) Data() int {
	if r.Submit == nil || r.Submit.In {
		return 0
	}
	return int(r.Submit.Length)
}

// AppendSubmit appends s, without its data.
func AppendSubmit(dst []byte, s Submit) []byte {
	dst = appendWords(dst, cmdSubmit, s.Sequence, s.Device, direction(s.In), s.Endpoint, s.Flags, s.Length, s.Start, 0, s.Interval)
	return append(dst, s.Setup[:]...)
}

// AppendUnlink appends u.
func AppendUnlink(dst []byte, u Unlink) []byte {
	return append(appendWords(dst, cmdUnlink, u.Sequence, u.Device, direction(u.In), u.Endpoint, u.Submit), make([]byte, 24)...)
}

// ParseRequest reads the header of a request. It refuses isochronous transfers
// and those that are longer than MaxTransfer.
func ParseRequest(src []byte) (r Request, rest []byte, err error) {
	if len(src) < HeaderSize {
		return r, src, fmt.Errorf("parse request: %w: %d bytes", ErrPacket, len(src))
	}
	command, way := word(src, 0), word(src, 3)
	switch {
	case way > 1:
		return r, src, fmt.Errorf("parse request: %w: direction %d", ErrPacket, way)
	case command == cmdUnlink:
		r.Unlink = &Unlink{word(src, 1), word(src, 2), way == 1, word(src, 4), word(src, 5)}
	case command != cmdSubmit:
		return r, src, fmt.Errorf("parse request: %w: command %d", ErrPacket, command)
	case word(src, 8) != 0 && word(src, 8) != notIsochronous:
		return r, src, fmt.Errorf("parse request: %w: isochronous, %d packets", ErrPacket, word(src, 8))
	case word(src, 6) > MaxTransfer:
		return r, src, fmt.Errorf("parse request: %w: %d bytes, at most %d", ErrPacket, word(src, 6), MaxTransfer)
	default:
		r.Submit = &Submit{
			word(src, 1), word(src, 2), way == 1, word(src, 4), word(src, 5), word(src, 6), word(src, 7), word(src, 9), [8]byte(src[40:48]),
		}
	}
	return r, src[HeaderSize:], nil
}

// A Done answers a Submit. What was received follows it.
type Done struct {
	Sequence uint32
	Status   int32  // 0, or minus the number of a Linux error
	Length   uint32 // bytes that were sent or received
}

// An Unlinked answers an Unlink: -ECONNRESET when the request was taken back,
// and 0 when it had been answered before.
type Unlinked struct {
	Sequence uint32
	Status   int32
}

// An Answer is a Done, or an Unlinked.
type Answer struct {
	Done     *Done
	Unlinked *Unlinked
}

// AppendDone appends d, without its data.
func AppendDone(dst []byte, d Done) []byte {
	return appendWords(dst, retSubmit, d.Sequence, 0, 0, 0, uint32(d.Status), d.Length, 0, 0, 0, 0, 0)
}

// AppendUnlinked appends u.
func AppendUnlinked(dst []byte, u Unlinked) []byte {
	return append(appendWords(dst, retUnlink, u.Sequence, 0, 0, 0, uint32(u.Status)), make([]byte, 24)...)
}

// ParseAnswer reads the header of an answer. Whether data follows, the request
// says.
func ParseAnswer(src []byte) (a Answer, rest []byte, err error) {
	if len(src) < HeaderSize {
		return a, src, fmt.Errorf("parse answer: %w: %d bytes", ErrPacket, len(src))
	}
	switch command := word(src, 0); {
	case command == retUnlink:
		a.Unlinked = &Unlinked{word(src, 1), int32(word(src, 5))}
	case command != retSubmit:
		return a, src, fmt.Errorf("parse answer: %w: command %d", ErrPacket, command)
	case word(src, 6) > MaxTransfer:
		return a, src, fmt.Errorf("parse answer: %w: %d bytes, at most %d", ErrPacket, word(src, 6), MaxTransfer)
	default:
		a.Done = &Done{word(src, 1), int32(word(src, 5)), word(src, 6)}
	}
	return a, src[HeaderSize:], nil
}

func word(src []byte, n int) uint32 { return binary.BigEndian.Uint32(src[4*n:]) }

func appendWords(dst []byte, words ...uint32) []byte {
	for _, w := range words {
		dst = binary.BigEndian.AppendUint32(dst, w)
	}
	return dst
}

func direction(in bool) uint32 {
	if in {
		return 1
	}
	return 0
}
