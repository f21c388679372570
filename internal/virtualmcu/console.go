package virtualmcu

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
)

// SMP on a console: a message, its length before and its CRC after it, in
// base64, in lines of 127 bytes at most. A line of anything else is none of
// SMP's.
//
//	06 09 base64 0a     the first line
//	04 14 base64 0a     each further one
const (
	frameStart    = "\x06\x09"
	frameContinue = "\x04\x14"
	lineSize      = 127
	linePayload   = (lineSize - 3) / 4 * 3 // bytes before base64
)

// crc16 is CRC-16/XMODEM.
func crc16(p []byte) (crc uint16) {
	for _, b := range p {
		crc ^= uint16(b) << 8
		for range 8 {
			top := crc&0x8000 != 0
			if crc <<= 1; top {
				crc ^= 0x1021
			}
		}
	}
	return crc
}

// appendFrames appends the lines of one message.
func appendFrames(dst, packet []byte) []byte {
	raw := binary.BigEndian.AppendUint16(nil, uint16(len(packet)+2))
	raw = binary.BigEndian.AppendUint16(append(raw, packet...), crc16(packet))
	for head := frameStart; len(raw) > 0; head = frameContinue {
		n := min(linePayload, len(raw))
		dst = base64.StdEncoding.AppendEncode(append(dst, head...), raw[:n])
		dst = append(dst, '\n')
		raw = raw[n:]
	}
	return dst
}

// An assembler puts messages together from lines.
type assembler struct {
	raw  []byte
	most int // bytes of a message; more is dropped
}

// line takes a line without its end, and returns a message that it completes.
func (a *assembler) line(p []byte) []byte {
	var rest []byte
	if i := bytes.Index(p, []byte(frameStart)); i >= 0 { // after other text, too
		a.raw, rest = []byte{}, p[i+2:]
	} else if cut, ok := bytes.CutPrefix(p, []byte(frameContinue)); ok && a.raw != nil {
		rest = cut
	} else {
		return nil
	}
	part, err := base64.StdEncoding.AppendDecode(nil, bytes.TrimRight(rest, "\r"))
	if err != nil || len(a.raw)+len(part) > a.most+4 {
		a.raw = nil
		return nil
	}
	a.raw = append(a.raw, part...)
	return a.complete()
}

func (a *assembler) complete() []byte {
	if len(a.raw) < 4 || len(a.raw) < 2+int(binary.BigEndian.Uint16(a.raw)) {
		return nil
	}
	raw := a.raw
	a.raw = nil
	n := int(binary.BigEndian.Uint16(raw))
	if n < 2 || len(raw) != 2+n {
		return nil
	}
	packet := raw[2:n]
	if crc16(packet) != binary.BigEndian.Uint16(raw[n:]) {
		return nil
	}
	return packet
}
