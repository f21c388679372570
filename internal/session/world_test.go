package session

import (
	"bytes"
	"crypto/ecdh"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/wire/securemsg"
)

var suites = []securemsg.Suite{securemsg.X25519, securemsg.P256}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

var limits = securemsg.Limits{Message: 32 << 10, Window: 16, Poll: 1800}

// seeded is randomness that a test can have twice.
func seeded(name string) io.Reader { return rand.NewChaCha8(sha256.Sum256([]byte(name))) }

func seededKey(t testing.TB, s securemsg.Suite, name string) *ecdh.PrivateKey {
	t.Helper()
	key, err := NewKey(s, seeded(name))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// A pair is a device and the server that knows it.
type pair struct {
	t         testing.TB
	suite     securemsg.Suite
	device    Device
	responder *Responder
	peer      *Peer
}

func newPair(t testing.TB, s securemsg.Suite, name string) *pair {
	t.Helper()
	r, err := NewResponder(limits, ServerKey{s, seededKey(t, s, "server")})
	if err != nil {
		t.Fatal(err)
	}
	key := seededKey(t, s, name)
	p := &pair{t, s, Device{securemsg.NewDeviceID([]byte(name)), s, key}, r, nil}
	p.peer, err = r.Peer(p.registered())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *pair) registered() Registered {
	return Registered{p.device.ID, p.suite, p.device.Key.PublicKey().Bytes()}
}

func (p *pair) initiator(seed string) *Initiator {
	p.t.Helper()
	i, err := NewInitiator(p.device, p.responder.Public()[0], securemsg.Hello{Boot: 41, Agent: "1.0.0"}, seeded(seed))
	if err != nil {
		p.t.Fatal(err)
	}
	return i
}

// A shake is a handshake and what was heard of it.
type shake struct {
	hs1, hs2 []byte
	device   *Session
	welcome  securemsg.Welcome
}

func (p *pair) shake(seed string, now time.Time) shake {
	p.t.Helper()
	i := p.initiator(seed)
	hs2, err := p.peer.Handshake(i.Frame(), now, seeded(seed+" server"))
	if err != nil {
		p.t.Fatalf("Handshake: %v", err)
	}
	s, w, err := i.Handshake(hs2, now)
	if err != nil {
		p.t.Fatalf("Handshake on HS2: %v", err)
	}
	return shake{i.Frame(), hs2, s, w}
}

// proven is a shake and the first message of the device.
func (p *pair) proven(seed string, now time.Time) shake {
	p.t.Helper()
	s := p.shake(seed, now)
	p.up(s.device, "first of "+seed, now)
	return s
}

// up carries a message to the server, and returns its frame.
func (p *pair) up(s *Session, message string, now time.Time) []byte {
	p.t.Helper()
	frame := seal(p.t, s, message, now)
	if got, err := p.peer.Open(frame, now); string(got) != message || err != nil {
		p.t.Fatalf("Open at the server = %q, %v, want %q", got, err, message)
	}
	return frame
}

func seal(t testing.TB, s *Session, message string, now time.Time) []byte {
	t.Helper()
	frame, err := s.Seal(nil, []byte(message), now)
	if err != nil {
		t.Fatal(err)
	}
	return frame
}

// flips yields frame with each of its bits flipped in turn.
func flips(frame []byte) func(yield func(int, []byte) bool) {
	return func(yield func(int, []byte) bool) {
		for bit := range len(frame) * 8 {
			flipped := bytes.Clone(frame)
			flipped[bit/8] ^= 1 << (bit % 8)
			if !yield(bit, flipped) {
				return
			}
		}
	}
}

// counted counts what is done with a key.
type counted struct {
	*ecdh.PrivateKey
	uses *int
}

func (c counted) ECDH(peer *ecdh.PublicKey) ([]byte, error) {
	*c.uses++
	return c.PrivateKey.ECDH(peer)
}

// dry is randomness that must not be asked for.
type dry struct{ t *testing.T }

func (d dry) Read([]byte) (int, error) {
	d.t.Error("randomness was asked for")
	return 0, io.EOF
}
