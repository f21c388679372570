package smp

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
)

// On a console a packet has its length before it and its CRC after it, in
// base64, in lines of 127 bytes at most.
//
//	06 09 base64 0a     the first line
//	04 14 base64 0a     each further one
//
// The length counts packet and CRC.
const (
	lineStart    = "\x06\x09"
	lineContinue = "\x04\x14"
	lineBytes    = (127 - 3) / 4 * 3 // before base64
	maxLine      = 1024              // bytes of one that is read, foreign text before it included
)

// LineOverhead is what lines add to a packet in a server's buffer, in bytes.
const LineOverhead = 4

// CRC16 is CRC-16/XMODEM.
func CRC16(p []byte) (crc uint16) {
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

// AppendLines appends the lines of one packet, which is at most 65,533 bytes.
func AppendLines(dst, packet []byte) []byte {
	raw := binary.BigEndian.AppendUint16(nil, uint16(len(packet)+2))
	raw = binary.BigEndian.AppendUint16(append(raw, packet...), CRC16(packet))
	for head := lineStart; len(raw) > 0; head = lineContinue {
		n := min(lineBytes, len(raw))
		dst = base64.StdEncoding.AppendEncode(append(dst, head...), raw[:n])
		dst = append(dst, '\n')
		raw = raw[n:]
	}
	return dst
}

// A Lines finds the packets in what comes from a console. Everything else is
// passed over. The zero Lines is ready.
type Lines struct {
	Most int // bytes of a packet; 0 means 65,533

	line    []byte // so far
	long    bool   // the line is too long; pass over the rest of it
	raw     []byte // of a packet that has begun; nil: none
	packets [][]byte
}

// Write takes what came. It never fails.
func (l *Lines) Write(p []byte) (int, error) {
	for _, b := range p {
		switch {
		case b == '\n' && l.long:
			l.line, l.long = l.line[:0], false
		case b == '\n':
			l.end(bytes.TrimRight(l.line, "\r"))
			l.line = l.line[:0]
		case len(l.line) == maxLine:
			l.shorten()
			fallthrough
		default:
			l.line = append(l.line, b)
		}
	}
	return len(p), nil
}

// Next returns the oldest packet that was found, or nil.
func (l *Lines) Next() []byte {
	if len(l.packets) == 0 {
		return nil
	}
	p := l.packets[0]
	l.packets = l.packets[1:]
	return p
}

// shorten drops foreign text from a line that is too long. What is a frame
// of that length is none.
func (l *Lines) shorten() {
	switch i := bytes.LastIndex(l.line, []byte(lineStart)); {
	case i > 0:
		l.line = append(l.line[:0], l.line[i:]...)
		l.long = false
	case i == 0:
		l.long, l.raw = true, nil
		l.line = l.line[:0]
	default: // a start may be cut in two
		l.line = append(l.line[:0], l.line[len(l.line)-1])
	}
}

// end takes a whole line.
func (l *Lines) end(line []byte) {
	var text []byte
	if i := bytes.LastIndex(line, []byte(lineStart)); i >= 0 { // after foreign text, too
		l.raw, text = []byte{}, line[i+len(lineStart):]
	} else if rest, ok := bytes.CutPrefix(line, []byte(lineContinue)); ok && l.raw != nil {
		text = rest
	} else {
		return
	}
	part, err := base64.StdEncoding.AppendDecode(nil, text)
	if err != nil || len(l.raw)+len(part) > l.most()+LineOverhead {
		l.raw = nil
		return
	}
	l.raw = append(l.raw, part...)
	l.whole()
}

func (l *Lines) most() int {
	const limit = 0xffff - 2
	if l.Most == 0 {
		return limit
	}
	return min(l.Most, limit)
}

// whole takes the packet, when that is all of it.
func (l *Lines) whole() {
	if len(l.raw) < 2 || len(l.raw) < 2+int(binary.BigEndian.Uint16(l.raw)) {
		return
	}
	raw, n := l.raw, int(binary.BigEndian.Uint16(l.raw))
	l.raw = nil
	if n < 2 || len(raw) != 2+n || CRC16(raw[2:n]) != binary.BigEndian.Uint16(raw[n:]) {
		return
	}
	l.packets = append(l.packets, raw[2:n:n])
}
