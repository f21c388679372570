// Package mqttpacket bounds the packets of an MQTT 3.1.1 stream, for readers
// that would believe any length: what a packet announces is checked before
// whoever parses it sees it.
package mqttpacket

import (
	"errors"
	"fmt"
	"io"
)

// Errors of a stream.
var (
	ErrTooLong   = errors.New("packet is too long")
	ErrMalformed = errors.New("malformed packet")
)

// Head reads a packet's first byte, and the length of what follows, which is
// at most limit (§2.2.3).
func Head(r io.ByteReader, limit int) (first byte, length int, err error) {
	if first, err = r.ReadByte(); err != nil {
		return 0, 0, err
	}
	var l varint
	for {
		b, err := r.ReadByte()
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return 0, 0, err
		}
		if end, err := l.add(b, limit); end || err != nil {
			return first, l.n, err
		}
	}
}

// AppendHead writes what Head reads.
func AppendHead(dst []byte, first byte, length int) []byte {
	dst = append(dst, first)
	for length >= 0x80 {
		dst = append(dst, byte(length)|0x80)
		length >>= 7
	}
	return append(dst, byte(length))
}

// A varint is read byte by byte, seven bits each, the lowest first.
type varint struct {
	n, shift int
}

func (l *varint) add(b byte, limit int) (end bool, err error) {
	l.n |= int(b&0x7f) << l.shift
	switch {
	case l.shift == 21 && b&0x80 != 0:
		return false, fmt.Errorf("%w: length of more than four bytes", ErrMalformed)
	case l.n > limit:
		return false, fmt.Errorf("%w: %d bytes or more, at most %d", ErrTooLong, l.n, limit)
	}
	l.shift += 7
	return b&0x80 == 0, nil
}

// Limit returns a reader of r that fails at the first packet that announces
// more than limit bytes. It reads no further than it is asked to.
func Limit(r io.Reader, limit int) io.Reader { return &limited{r: r, limit: limit} }

type limited struct {
	r     io.Reader
	limit int
	left  int // of a packet's body
	head  bool
	l     varint
	err   error
}

func (l *limited) Read(p []byte) (int, error) {
	if l.err != nil {
		return 0, l.err
	}
	n, err := l.r.Read(p)
	for i := 0; i < n; {
		if l.left > 0 {
			skip := min(l.left, n-i)
			l.left -= skip
			i += skip
			continue
		}
		if l.err = l.step(p[i]); l.err != nil {
			return i, l.err // what came before is whole
		}
		i++
	}
	return n, err
}

// step takes one byte of a head.
func (l *limited) step(b byte) error {
	if !l.head {
		l.head, l.l = true, varint{}
		return nil
	}
	end, err := l.l.add(b, l.limit)
	if end {
		l.head, l.left = false, l.l.n
	}
	return err
}
