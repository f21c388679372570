package session

import (
	"crypto/ecdh"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/moult-ota/moult/internal/wire/securemsg"
)

// Limits of handshakes at the server.
const (
	ShakeEvery  = 10 * time.Second // between two HS1 of a device that are worked on, in the long run
	ShakeBurst  = 3                // that may come at once: a device that is updated starts twice
	answerStays = 30 * time.Second // for an HS1 that comes again
)

var (
	// ErrUnknown is returned for a device that is not registered.
	ErrUnknown = errors.New("device is not known")
	// ErrEarly is returned for an HS1 too soon after the one before.
	ErrEarly = errors.New("too early for another handshake")
)

// Shakes is the rule for one device: may an HS1 be worked on? A clock that was
// set back does not keep a device out.
type Shakes struct {
	at   [ShakeBurst]time.Time // of the last ones
	next int                   // the oldest of them
}

// Wait is how long it is until the next one; 0 for now.
func (s *Shakes) Wait(now time.Time) time.Duration {
	oldest, last := s.at[s.next], s.at[(s.next+ShakeBurst-1)%ShakeBurst]
	if oldest.IsZero() || now.Before(last) {
		return 0
	}
	return max(0, ShakeBurst*ShakeEvery-now.Sub(oldest))
}

// Note counts one.
func (s *Shakes) Note(now time.Time) {
	s.at[s.next] = now
	s.next = (s.next + 1) % ShakeBurst
}

// A Peer is one device at the server. An HS1 may be an old one that somebody
// sends again, so its session replaces nothing until a first DATA proves that
// the device is there: until then messages are sealed in the session before.
type Peer struct {
	responder *Responder
	device    Registered
	key       *ecdh.PublicKey
	current   *Session // proven by a message of the device; or nil
	hello     securemsg.Hello
	pending   *Session // not proven yet; or nil
	said      securemsg.Hello
	shakes    Shakes
	shaken    time.Time         // the last time
	asked     [sha256.Size]byte // the HS1 that was answered last
	answer    []byte            // its HS2
}

// Peer returns the state of a device that has no session yet. The zero
// Registered stands for a device that is not known: ErrUnknown, and no curve
// was touched.
func (r *Responder) Peer(d Registered) (*Peer, error) {
	if d.ID == (securemsg.DeviceID{}) {
		return nil, fmt.Errorf("serve device: %w", ErrUnknown)
	}
	key, err := securemsg.ParsePublic(d.Suite, d.Key)
	if err != nil {
		return nil, fmt.Errorf("serve device %s: %w: %w", d.ID, ErrKey, err)
	}
	return &Peer{responder: r, device: d, key: key}, nil
}

// Handshake takes an HS1 and returns the HS2 to send. It is all that may
// follow from an HS1.
func (p *Peer) Handshake(frame []byte, now time.Time, random io.Reader) ([]byte, error) {
	f, err := securemsg.ParseFrame(frame)
	if err != nil {
		return nil, err
	}
	if f.Type != securemsg.HS1 {
		return nil, fmt.Errorf("shake hands on %s frame: %w", f.Type, ErrSession)
	}
	asked := sha256.Sum256(frame)
	if p.answer != nil && asked == p.asked && now.Sub(p.shaken) < answerStays {
		return p.answer, nil // doubled on its way
	}
	own, err := p.admit(f, now)
	if err != nil {
		return nil, fmt.Errorf("shake hands with %s: %w", p.device.ID, err)
	}
	p.shaken = now
	p.shakes.Note(now)
	answer, err := p.shake(f, own, now, random)
	if err != nil {
		return nil, fmt.Errorf("shake hands with %s: %w", p.device.ID, err)
	}
	p.asked, p.answer = asked, answer
	return answer, nil
}

// admit says with which key to go on. It comes before any curve operation.
func (p *Peer) admit(f securemsg.Frame, now time.Time) (ecdh.KeyExchanger, error) {
	kid, _ := f.HS1()
	own, known := p.responder.keys[kid]
	switch {
	case f.Suite != p.device.Suite:
		return nil, fmt.Errorf("suite %d, registered with %d: %w", f.Suite, p.device.Suite, ErrSuite)
	case !known || own.suite != f.Suite:
		return nil, fmt.Errorf("server key %x: %w", kid, ErrKey)
	case p.current != nil && p.current.id == f.Session:
		return nil, fmt.Errorf("session %x exists: %w", f.Session, ErrSession)
	case p.shakes.Wait(now) > 0:
		return nil, ErrEarly
	}
	return own.secret, nil
}

// shake makes the pending session.
func (p *Peer) shake(f securemsg.Frame, own ecdh.KeyExchanger, now time.Time, random io.Reader) ([]byte, error) {
	kid, message := f.HS1()
	ephemeral, err := NewKey(f.Suite, random)
	if err != nil {
		return nil, err
	}
	state, err := party{
		suite: f.Suite, static: own, ephemeral: ephemeral, peer: p.key,
		prologue: securemsg.AppendPrologue(nil, f.Suite, p.device.ID, kid, f.Session),
	}.begin()
	if err != nil {
		return nil, err
	}
	payload, _, _, err := state.ReadMessage(nil, message)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForged, err)
	}
	hello, err := securemsg.ParseHello(payload)
	if err != nil {
		return nil, err
	}
	welcome, err := p.welcome(hello, now)
	if err != nil {
		return nil, err
	}
	body, in, out, err := state.WriteMessage(nil, welcome)
	if err != nil {
		return nil, err
	}
	p.pending, p.said = newSession(f.Suite, f.Session, now, out, in), hello
	return securemsg.AppendFrame(nil, securemsg.Frame{Type: securemsg.HS2, Suite: f.Suite, Session: f.Session, Body: body})
}

func (p *Peer) welcome(h securemsg.Hello, now time.Time) ([]byte, error) {
	w := securemsg.Welcome{Seconds: uint64(max(now.Unix(), 0)), Nonce: h.Nonce, Limits: p.responder.limits}
	return securemsg.AppendWelcome(nil, w)
}

// Open returns the message in a DATA frame, as Session.Open does. The first
// one of a pending session makes it the current one, and ends the one before.
func (p *Peer) Open(frame []byte, now time.Time) ([]byte, error) {
	f, err := securemsg.ParseFrame(frame)
	if err != nil {
		return nil, err
	}
	if p.pending != nil && f.Session == p.pending.id {
		message, err := p.pending.open(f, now)
		if err == nil {
			p.current, p.hello, p.pending, p.answer = p.pending, p.said, nil, nil
		}
		return message, err
	}
	if p.current == nil {
		return nil, fmt.Errorf("open %s frame of session %x: %w", f.Type, f.Session, ErrSession)
	}
	return p.current.open(f, now)
}

// Has reports whether a session is one of this peer's, proven or not.
func (p *Peer) Has(id securemsg.SessionID) bool {
	return p.current != nil && p.current.id == id || p.pending != nil && p.pending.id == id
}

// Session is the one that the device has proven to have; nil for none. What
// is pushed is sealed in it.
func (p *Peer) Session() *Session { return p.current }

// Hello is what the device said when the session of Session began.
func (p *Peer) Hello() securemsg.Hello { return p.hello }
