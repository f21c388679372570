package securemsg

import (
	"fmt"
	"time"
)

// Limits of what a handshake says, in bytes.
const (
	MaxAgent   = 64
	maxHello   = 128
	maxWelcome = 64
)

// Limits of the limits that a server may set; a device refuses others.
const (
	MinMessageLimit = 4 << 10 // a device must be able to say something
	MaxWindow       = 64      // requests for pieces of an object
)

// Hello is what a device says in HS1. Anyone may send an old one again, so
// nothing is changed because of it.
type Hello struct {
	Boot  uint64 `cbor:"1,keyasint"` // how often the device has started
	Agent string `cbor:"2,keyasint"` // version of its agent
	Nonce Nonce  `cbor:"3,keyasint"`
}

func (Hello) kind() Kind     { return KindHello }
func (Hello) limit() int     { return maxHello }
func (h Hello) check() error { return checkText("agent version", h.Agent, 0, MaxAgent) }

// AppendHello appends h to dst.
func AppendHello(dst []byte, h Hello) ([]byte, error) { return encode(dst, h) }

// ParseHello reads what AppendHello wrote.
func ParseHello(src []byte) (Hello, error) { return decode[Hello](src) }

// Welcome is what the server says in HS2.
type Welcome struct {
	Seconds uint64 `cbor:"1,keyasint"` // the server's clock, since 1970
	Nonce   Nonce  `cbor:"2,keyasint"` // of the Hello that is answered
	Limits  Limits `cbor:"3,keyasint"`
}

// Limits are what the server asks of a device during the session.
type Limits struct {
	Message uint32 `cbor:"1,keyasint"` // longest message that it takes, in bytes
	Window  uint8  `cbor:"2,keyasint"` // requests for pieces of an object at once
	Poll    uint32 `cbor:"3,keyasint"` // seconds between check-ins when nobody calls
}

// Time is the server's clock.
func (w Welcome) Time() time.Time { return time.Unix(int64(w.Seconds), 0).UTC() }

func (Welcome) kind() Kind { return KindWelcome }
func (Welcome) limit() int { return maxWelcome }

func (w Welcome) check() error {
	if w.Limits.Message < MinMessageLimit || w.Limits.Message > MaxMessage {
		return fmt.Errorf("message limit of %d bytes, want %d to %d", w.Limits.Message, MinMessageLimit, MaxMessage)
	}
	if w.Limits.Window < 1 || w.Limits.Window > MaxWindow {
		return fmt.Errorf("window of %d, want 1 to %d", w.Limits.Window, MaxWindow)
	}
	return checkTime(w.Seconds)
}

// maxSeconds is the end of the year 9999; a clock beyond it is an error.
const maxSeconds = 253402300799

func checkTime(seconds uint64) error {
	if seconds > maxSeconds {
		return fmt.Errorf("time %d lies after the year 9999", seconds)
	}
	return nil
}

// AppendWelcome appends w to dst.
func AppendWelcome(dst []byte, w Welcome) ([]byte, error) { return encode(dst, w) }

// ParseWelcome reads what AppendWelcome wrote.
func ParseWelcome(src []byte) (Welcome, error) { return decode[Welcome](src) }
