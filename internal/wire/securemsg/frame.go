package securemsg

import (
	"encoding/binary"
	"fmt"
)

// Limits of frames, in bytes.
const (
	HeaderSize  = 12
	MaxFrame    = 64 << 10                                  // header included; a packet of the broker is at most 1 KiB more
	MaxShake    = 512                                       // body of HS1 and HS2
	MaxEnrol    = 12 << 10                                  // body of ENROL
	MaxMessage  = MaxFrame - HeaderSize - counterSize - Tag // plaintext of DATA
	Tag         = 16                                        // what encryption adds
	counterSize = 8
	kidSize     = 8
)

const frameVersion = 1

// A Type says what a frame's body is.
type Type uint8

// The types of frames.
const (
	HS1   Type = 0x01 // first message of a handshake, device to server
	HS2   Type = 0x02 // second, server to device
	Data  Type = 0x03 // counter and Noise transport message
	Enrol Type = 0x05 // enrolment request, or its answer
	Hint  Type = 0x7F // "please shake hands again"; not authenticated
)

// String is the type as the reference calls it.
func (t Type) String() string {
	switch t {
	case HS1:
		return "HS1"
	case HS2:
		return "HS2"
	case Data:
		return "DATA"
	case Enrol:
		return "ENROL"
	case Hint:
		return "HINT"
	}
	return fmt.Sprintf("%02x", uint8(t))
}

// A Frame is one message on the wire: a whole MQTT payload.
type Frame struct {
	Type    Type
	Suite   Suite
	Session SessionID
	Body    []byte
}

// AppendFrame appends f to dst.
//
//	 0 1 version 01
//	 1 1 type
//	 2 1 suite
//	 3 1 flags, 0
//	 4 8 session id
//	12   body, to the end
func AppendFrame(dst []byte, f Frame) ([]byte, error) {
	if err := f.check(); err != nil {
		return dst, err
	}
	dst = append(dst, frameVersion, byte(f.Type), byte(f.Suite), 0)
	dst = append(dst, f.Session[:]...)
	return append(dst, f.Body...), nil
}

// ParseFrame reads a frame that takes up all of src. Its body is a part of
// src, not a copy.
func ParseFrame(src []byte) (Frame, error) {
	if len(src) < HeaderSize || len(src) > MaxFrame {
		return Frame{}, fmt.Errorf("%w: %d bytes, want %d to %d", ErrFrame, len(src), HeaderSize, MaxFrame)
	}
	if src[0] != frameVersion {
		return Frame{}, fmt.Errorf("%w: version %d, want %d", ErrFrame, src[0], frameVersion)
	}
	if src[3] != 0 {
		return Frame{}, fmt.Errorf("%w: flags %02x, want 00", ErrFrame, src[3])
	}
	f := Frame{Type(src[1]), Suite(src[2]), SessionID(src[4:HeaderSize]), src[HeaderSize:]}
	if err := f.check(); err != nil {
		return Frame{}, err
	}
	return f, nil
}

// check refuses a body shorter or longer than its type can have, and a suite
// or session where the type has none.
func (f Frame) check() error {
	low, high, public := 0, 0, f.Suite.PublicSize()
	switch f.Type {
	case HS1:
		low, high = kidSize+public+Tag, MaxShake
	case HS2:
		low, high = public+Tag, MaxShake
	case Data:
		low, high = counterSize+Tag, MaxFrame-HeaderSize
	case Enrol:
		low, high = 1, MaxEnrol
	case Hint:
	default:
		return fmt.Errorf("%w: type %s is not known", ErrFrame, f.Type)
	}
	if len(f.Body) < low || len(f.Body) > high {
		return fmt.Errorf("%w: %s body of %d bytes, want %d to %d", ErrFrame, f.Type, len(f.Body), low, high)
	}
	if bare := f.Type == Enrol || f.Type == Hint; bare && f.Suite != NoSuite || !bare && public == 0 {
		return fmt.Errorf("%w: %s with suite %d", ErrFrame, f.Type, f.Suite)
	}
	if f.Type == Enrol && f.Session != (SessionID{}) {
		return fmt.Errorf("%w: ENROL with a session", ErrFrame)
	}
	return nil
}

// AppendHS1 appends the body of an HS1: the server's key that the device
// shakes hands with, and the Noise message.
func AppendHS1(dst []byte, k Kid, noise []byte) []byte {
	return append(append(dst, k[:]...), noise...)
}

// HS1 splits the body of an HS1. The frame was parsed, so it is long enough.
func (f Frame) HS1() (Kid, []byte) { return Kid(f.Body[:kidSize]), f.Body[kidSize:] }

// AppendData appends the body of DATA up to the Noise transport message that
// is sealed with this counter as nonce.
func AppendData(dst []byte, counter uint64) []byte {
	return binary.BigEndian.AppendUint64(dst, counter)
}

// Data splits the body of DATA. The frame was parsed, so it is long enough.
func (f Frame) Data() (counter uint64, sealed []byte) {
	return binary.BigEndian.Uint64(f.Body), f.Body[counterSize:]
}
