package guard

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"unicode/utf8"

	"github.com/moult-ota/moult/internal/wire/mqttpacket"
)

// The kinds of packets that are let through (MQTT 3.1.1 §2.2.1).
const (
	kindConnect     = 1
	kindPublish     = 3
	kindSubscribe   = 8
	kindUnsubscribe = 10
	kindPing        = 12
	kindDisconnect  = 14
)

var (
	errPacket = mqttpacket.ErrMalformed
	errLong   = mqttpacket.ErrTooLong
	errKind   = errors.New("packet of a kind that is not served")
)

// A reader reads packets of one connection.
type reader struct{ *bufio.Reader }

// newReader keeps its buffer small: most connections are idle most of the time.
func newReader(c net.Conn) reader { return reader{bufio.NewReaderSize(c, 512)} }

func (r reader) body(p []byte) error {
	_, err := io.ReadFull(r, p)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// text takes a string of at most limit bytes from p (§1.5.3).
func text(p []byte, limit int) (s string, rest []byte, err error) {
	if len(p) < 2 {
		return "", nil, fmt.Errorf("%w: ends in a text", errPacket)
	}
	n := int(binary.BigEndian.Uint16(p))
	p = p[2:]
	switch {
	case n > limit:
		return "", nil, fmt.Errorf("%w: text of %d bytes, at most %d", errLong, n, limit)
	case n > len(p):
		return "", nil, fmt.Errorf("%w: ends in a text", errPacket)
	}
	s = string(p[:n])
	if !utf8.ValidString(s) || containsNUL(s) {
		return "", nil, fmt.Errorf("%w: text is not UTF-8, or has a NUL", errPacket)
	}
	return s, p[n:], nil
}

func containsNUL(s string) bool {
	for i := range len(s) {
		if s[i] == 0 {
			return true
		}
	}
	return false
}

func appendText(dst []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(s))), s...)
}
