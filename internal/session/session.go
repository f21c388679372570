// Package session is the authenticated channel between a device and the
// deployment server, end to end through brokers and gateways that nobody
// trusts. Both ends are here, so that what they must do alike is one text: a
// device is an Initiator, the server has a Responder and a Peer per device,
// and a handshake leaves a Session at both.
//
// The package is pure. Time and randomness are arguments, frames go in and
// out as bytes, and nothing is safe for concurrent use. A frame may be lost,
// come twice, late, or from an enemy: what is refused changes nothing.
//
// The bytes are those of wire/securemsg, whose FORMAT.md is the reference;
// the handshake is Noise KK (noiseprotocol.org, revision 34).
package session

import (
	"errors"
	"fmt"
	"time"

	"github.com/moult-ota/moult/internal/wire/securemsg"
)

// Limits of a session.
const (
	RekeyAge      = 24 * time.Hour // after it, the device should shake hands again
	RekeyMessages = 1 << 20        // of one direction; after them, too
	maxAge        = 2 * RekeyAge   // after it, the session is over
	maxMessages   = 2 * RekeyMessages
)

var (
	// ErrForged is returned for a frame that was not made by the other end
	// for this end, or was changed on its way.
	ErrForged = errors.New("frame is not authentic")
	// ErrDuplicate comes with an authentic message that was opened before:
	// acknowledge it again, and do not execute it again.
	ErrDuplicate = errors.New("message came before")
	// ErrOld is returned for a message so late that nobody remembers whether
	// it came before.
	ErrOld = errors.New("message is older than the window")
	// ErrSession is returned for a frame of a session that this end does not
	// have; a server may answer with a hint.
	ErrSession = errors.New("no such session; shake hands again")
	// ErrOver is returned once a session has carried all it may.
	ErrOver = errors.New("session is over; shake hands again")
)

// A Session seals and opens the messages of one device after a handshake.
type Session struct {
	suite    securemsg.Suite
	id       securemsg.SessionID
	began    time.Time
	out, in  aead
	sent     uint64 // counter of the next frame
	received window
}

// ID names the session.
func (s *Session) ID() securemsg.SessionID { return s.id }

// RekeyWanted reports whether the device should shake hands again, and the
// server should hint so. The session still works, as long again.
func (s *Session) RekeyWanted(now time.Time) bool {
	return now.Sub(s.began) >= RekeyAge || s.sent >= RekeyMessages || s.received.end >= RekeyMessages
}

// Seal appends a DATA frame that carries message.
func (s *Session) Seal(dst, message []byte, now time.Time) ([]byte, error) {
	if len(message) > securemsg.MaxMessage {
		return dst, fmt.Errorf("seal message of %d bytes, at most %d: %w", len(message), securemsg.MaxMessage, securemsg.ErrFrame)
	}
	if now.Sub(s.began) >= maxAge || s.sent >= maxMessages {
		return dst, fmt.Errorf("seal message: %w", ErrOver)
	}
	body := s.out.Encrypt(securemsg.AppendData(nil, s.sent), s.sent, nil, message)
	s.sent++
	return securemsg.AppendFrame(dst, securemsg.Frame{Type: securemsg.Data, Suite: s.suite, Session: s.id, Body: body})
}

// Open returns the message in a DATA frame. With ErrDuplicate the message is
// returned, too, so that it can be acknowledged again; with any other error
// there is none, and the session is as before.
func (s *Session) Open(frame []byte, now time.Time) ([]byte, error) {
	f, err := securemsg.ParseFrame(frame)
	if err != nil {
		return nil, err
	}
	return s.open(f, now)
}

func (s *Session) open(f securemsg.Frame, now time.Time) ([]byte, error) {
	if f.Type != securemsg.Data || f.Session != s.id || f.Suite != s.suite {
		return nil, fmt.Errorf("open %s frame of session %x: %w", f.Type, f.Session, ErrSession)
	}
	counter, sealed := f.Data()
	if now.Sub(s.began) >= maxAge || counter >= maxMessages {
		return nil, fmt.Errorf("open message %d: %w", counter, ErrOver)
	}
	if s.received.old(counter) {
		return nil, fmt.Errorf("open message %d after %d: %w", counter, s.received.end-1, ErrOld)
	}
	message, err := s.in.Decrypt(nil, counter, nil, sealed)
	if err != nil {
		return nil, fmt.Errorf("open message %d: %w", counter, ErrForged)
	}
	if !s.received.mark(counter) { // asked last, so that only the other end can tell
		return message, fmt.Errorf("open message %d: %w", counter, ErrDuplicate)
	}
	return message, nil
}
