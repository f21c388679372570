package session

import (
	"crypto/ecdh"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/moult-ota/moult/internal/wire/securemsg"
)

// maxAnswers bounds the HS2 that are tried in one handshake.
const maxAnswers = 8

var (
	// ErrSuite is returned for a suite that is not the agreed one.
	ErrSuite = errors.New("not the agreed suite")
	// ErrKey is returned for a session key that is missing or does not fit.
	ErrKey = errors.New("bad session key")
)

// A Device is what a device brings to its sessions.
type Device struct {
	ID    securemsg.DeviceID
	Suite securemsg.Suite
	Key   ecdh.KeyExchanger // its session key
}

// An Initiator is a device in one handshake.
type Initiator struct {
	party   party
	state   *handshake // after HS1; nil once it is done
	id      securemsg.SessionID
	nonce   securemsg.Nonce
	hello   []byte // payload of HS1
	message []byte // of noise, in HS1
	frame   []byte // HS1
	answers int
}

// NewInitiator begins a handshake with the server that holds the key. It
// draws the session id, the nonce of the hello, and a key for once.
func NewInitiator(d Device, server securemsg.ServerKey, h securemsg.Hello, random io.Reader) (*Initiator, error) {
	i, err := newInitiator(d, server, random)
	if err != nil {
		return nil, fmt.Errorf("begin handshake: %w", err)
	}
	h.Nonce = i.nonce
	if i.hello, err = securemsg.AppendHello(nil, h); err != nil {
		return nil, err
	}
	if err := i.begin(); err != nil {
		return nil, fmt.Errorf("begin handshake: %w", err)
	}
	i.frame, err = securemsg.AppendFrame(nil, securemsg.Frame{
		Type: securemsg.HS1, Suite: d.Suite, Session: i.id, Body: securemsg.AppendHS1(nil, server.Kid(), i.message),
	})
	return i, err
}

func newInitiator(d Device, server securemsg.ServerKey, random io.Reader) (*Initiator, error) {
	if err := checkKey(d.Suite, d.Key); err != nil {
		return nil, err
	}
	if server.Suite != d.Suite {
		return nil, fmt.Errorf("server key of suite %d, device has %d: %w", server.Suite, d.Suite, ErrSuite)
	}
	peer, err := securemsg.ParsePublic(server.Suite, server.Public)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	i := &Initiator{party: party{suite: d.Suite, initiator: true, static: d.Key, peer: peer}}
	for _, b := range [][]byte{i.id[:], i.nonce[:]} {
		if _, err := io.ReadFull(random, b); err != nil {
			return nil, fmt.Errorf("draw session id: %w", err)
		}
	}
	i.party.prologue = securemsg.AppendPrologue(nil, d.Suite, d.ID, server.Kid(), i.id)
	i.party.ephemeral, err = NewKey(d.Suite, random)
	return i, err
}

// begin writes the first message, and leaves the state behind it. It does the
// same every time.
func (i *Initiator) begin() error {
	state, err := i.party.begin()
	if err != nil {
		return err
	}
	i.message, _, _, err = state.WriteMessage(nil, i.hello)
	i.state = state
	return err
}

// Frame is the HS1 to send. Sent again it is the same.
func (i *Initiator) Frame() []byte { return i.frame }

// Handshake takes the HS2 that answers, and ends the handshake. A frame that
// is refused leaves the handshake open for the true one.
func (i *Initiator) Handshake(frame []byte, now time.Time) (*Session, securemsg.Welcome, error) {
	f, err := securemsg.ParseFrame(frame)
	if err != nil {
		return nil, securemsg.Welcome{}, err
	}
	switch {
	case f.Type != securemsg.HS2 || f.Session != i.id:
		err = ErrSession
	case f.Suite != i.party.suite:
		err = ErrSuite
	case i.state == nil:
		err = ErrDuplicate
	case i.answers == maxAnswers:
		err = ErrOver
	}
	if err != nil {
		return nil, securemsg.Welcome{}, fmt.Errorf("shake hands on %s frame: %w", f.Type, err)
	}
	i.answers++
	return i.finish(f.Body, now)
}

func (i *Initiator) finish(message []byte, now time.Time) (*Session, securemsg.Welcome, error) {
	payload, out, in, err := i.state.ReadMessage(nil, message)
	if err != nil {
		// noise does not go back behind a point that it refused.
		if err := i.begin(); err != nil {
			return nil, securemsg.Welcome{}, fmt.Errorf("shake hands again: %w", err)
		}
		return nil, securemsg.Welcome{}, fmt.Errorf("shake hands: %w: %w", ErrForged, err)
	}
	i.state, i.party.ephemeral = nil, nil
	w, err := securemsg.ParseWelcome(payload)
	if err != nil {
		return nil, securemsg.Welcome{}, err
	}
	if w.Nonce != i.nonce {
		return nil, securemsg.Welcome{}, fmt.Errorf("shake hands: answer to another hello: %w", ErrForged)
	}
	return newSession(i.party.suite, i.id, now, out, in), w, nil
}

func newSession(s securemsg.Suite, id securemsg.SessionID, now time.Time, out, in *direction) *Session {
	return &Session{suite: s, id: id, began: now, out: out.Cipher(), in: in.Cipher()}
}

// checkKey refuses a key that is missing or on another curve.
func checkKey(s securemsg.Suite, key ecdh.KeyExchanger) error {
	curve, err := curveOf(s)
	if err != nil {
		return err
	}
	if key == nil || key.Curve() != curve {
		return fmt.Errorf("key for suite %d: %w", s, ErrKey)
	}
	return nil
}
