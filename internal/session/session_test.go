package session

import (
	"bytes"
	"crypto/ecdh"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/wire/securemsg"
)

func TestHandshake(t *testing.T) {
	for _, suite := range suites {
		p := newPair(t, suite, "a")
		s := p.shake("1", noon)
		if w := s.welcome; w.Time() != noon || w.Limits != limits {
			t.Errorf("suite %d: welcome %+v, want %v, %+v", suite, w, noon, limits)
		}
		for i := range 5 {
			p.up(s.device, fmt.Sprint("up ", i), noon)
			frame := seal(t, p.peer.Session(), fmt.Sprint("down ", i), noon)
			if got, err := s.device.Open(frame, noon); string(got) != fmt.Sprint("down ", i) || err != nil {
				t.Errorf("suite %d: Open at the device = %q, %v", suite, got, err)
			}
		}
		if h := p.peer.Hello(); h.Boot != 41 || h.Agent != "1.0.0" || h.Nonce != s.welcome.Nonce {
			t.Errorf("suite %d: Hello() = %+v", suite, h)
		}
		if p.peer.Session().ID() != s.device.ID() {
			t.Errorf("suite %d: the ends name the session differently", suite)
		}
	}
}

// TestLossReorderDuplicates: through a link that drops, doubles and mixes,
// every message is new at most once, and lost only when it was lost or came
// more than a window late.
func TestLossReorderDuplicates(t *testing.T) {
	p := newPair(t, securemsg.X25519, "a")
	s := p.proven("1", noon)
	chance := rand.New(rand.NewPCG(1, 2))
	const n = 2000
	var link [][]byte
	for i := range n {
		frame := seal(t, s.device, fmt.Sprint(i), noon)
		for range 1 + chance.IntN(2)*chance.IntN(2) { // a quarter doubled
			if chance.IntN(5) > 0 { // a fifth dropped
				link = append(link, frame)
			}
		}
	}
	for i := range link { // near neighbours change places
		j := min(i+chance.IntN(20), len(link)-1)
		link[i], link[j] = link[j], link[i]
	}
	sent, fresh := map[string]bool{}, map[string]int{}
	for _, frame := range link {
		sent[string(frame)] = true
		message, err := p.peer.Open(frame, noon)
		switch {
		case err == nil:
			fresh[string(message)]++
		case !errors.Is(err, ErrDuplicate) && !errors.Is(err, ErrOld):
			t.Fatalf("Open: %v", err)
		}
	}
	for message, times := range fresh {
		if times != 1 {
			t.Errorf("message %s was new %d times", message, times)
		}
	}
	if len(fresh) < len(sent)*9/10 {
		t.Errorf("%d of %d messages arrived", len(fresh), len(sent))
	}
}

func TestWindow(t *testing.T) {
	tests := []struct {
		name string
		seen []uint64
		n    uint64
		want string
	}{
		{"first", nil, 0, "new"},
		{"first, some lost", nil, 500, "new"},
		{"next", []uint64{0}, 1, "new"},
		{"again", []uint64{0}, 0, "seen"},
		{"late", []uint64{0, 2}, 1, "new"},
		{"late and again", []uint64{0, 2, 1}, 1, "seen"},
		{"at the edge", []uint64{63}, 0, "new"},
		{"at the edge again", []uint64{0, 63}, 0, "seen"},
		{"behind the edge", []uint64{64}, 0, "old"},
		{"behind the edge, seen", []uint64{0, 64}, 0, "old"},
		{"a leap forgets", []uint64{10, 200}, 199, "new"},
		{"a leap of 64", []uint64{10, 74}, 11, "new"},
		{"a leap of 63", []uint64{10, 73}, 10, "seen"},
	}
	for _, tt := range tests {
		var w window
		for _, n := range tt.seen {
			w.mark(n)
		}
		got := "old"
		if !w.old(tt.n) {
			got = map[bool]string{true: "new", false: "seen"}[w.mark(tt.n)]
		}
		if got != tt.want {
			t.Errorf("%s: %d after %v is %s, want %s", tt.name, tt.n, tt.seen, got, tt.want)
		}
	}
}

func TestRekey(t *testing.T) {
	p := newPair(t, securemsg.X25519, "a")
	s := p.proven("1", noon)
	for _, tt := range []struct {
		name       string
		age        time.Duration
		sent, seen uint64
		want       bool
	}{
		{"new", 0, 1, 1, false},
		{"a day less a second", RekeyAge - time.Second, 1, 1, false},
		{"a day", RekeyAge, 1, 1, true},
		{"a message less", 0, RekeyMessages - 1, RekeyMessages - 1, false},
		{"enough sent", 0, RekeyMessages, 1, true},
		{"enough received", 0, 1, RekeyMessages, true},
		{"clock set back", -time.Hour, 1, 1, false},
	} {
		aged := *s.device
		aged.sent, aged.received.end = tt.sent, tt.seen
		now := noon.Add(tt.age)
		if got := aged.RekeyWanted(now); got != tt.want {
			t.Errorf("%s: RekeyWanted = %v", tt.name, got)
		}
		if _, err := aged.Seal(nil, nil, now); err != nil {
			t.Errorf("%s: Seal = %v; the session still works", tt.name, err)
		}
	}
}

// TestSessionEnds: at twice the limits both directions stop, and the counter
// never comes near its end.
func TestSessionEnds(t *testing.T) {
	p := newPair(t, securemsg.X25519, "a")
	s := p.proven("1", noon)
	frame := seal(t, s.device, "x", noon)
	late := noon.Add(maxAge)
	if _, err := s.device.Seal(nil, nil, late); !errors.Is(err, ErrOver) {
		t.Errorf("Seal after %v = %v, want ErrOver", maxAge, err)
	}
	if _, err := p.peer.Open(frame, late); !errors.Is(err, ErrOver) {
		t.Errorf("Open after %v = %v, want ErrOver", maxAge, err)
	}
	s.device.sent = maxMessages - 1
	last := seal(t, s.device, "last", noon)
	if _, err := s.device.Seal(nil, nil, noon); !errors.Is(err, ErrOver) {
		t.Errorf("Seal of message %d = %v, want ErrOver", maxMessages, err)
	}
	s.device.sent = 1 << 40 // what Seal refuses, sealed all the same
	beyond := s.device.out.Encrypt(securemsg.AppendData(nil, maxMessages), maxMessages, nil, []byte("x"))
	frame, err := securemsg.AppendFrame(nil, securemsg.Frame{Type: securemsg.Data, Suite: s.device.suite, Session: s.device.id, Body: beyond})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.peer.Open(frame, noon); !errors.Is(err, ErrOver) {
		t.Errorf("Open of message %d = %v, want ErrOver", maxMessages, err)
	}
	if got, err := p.peer.Open(last, noon); string(got) != "last" || err != nil {
		t.Errorf("Open of the last message = %q, %v", got, err)
	}
}

func TestLongestMessage(t *testing.T) {
	p := newPair(t, securemsg.P256, "a")
	s := p.proven("1", noon)
	message := bytes.Repeat([]byte{7}, securemsg.MaxMessage)
	if frame := p.up(s.device, string(message), noon); len(frame) != securemsg.MaxFrame {
		t.Errorf("the longest frame has %d bytes, want %d", len(frame), securemsg.MaxFrame)
	}
	if _, err := s.device.Seal(nil, append(message, 7), noon); !errors.Is(err, securemsg.ErrFrame) {
		t.Errorf("Seal of a byte more = %v, want ErrFrame", err)
	}
}

func TestKeysMissing(t *testing.T) {
	p := newPair(t, securemsg.X25519, "a")
	server := p.responder.Public()[0]
	other := newPair(t, securemsg.P256, "a")
	for name, d := range map[string]Device{
		"no key":            {ID: p.device.ID, Suite: securemsg.X25519},
		"key on P-256":      {p.device.ID, securemsg.X25519, other.device.Key},
		"suite not known":   {p.device.ID, 3, p.device.Key},
		"no suite":          {p.device.ID, 0, p.device.Key},
		"server's suite is": other.device,
	} {
		if i, err := NewInitiator(d, server, securemsg.Hello{}, seeded("1")); err == nil {
			t.Errorf("%s: NewInitiator = %v", name, i)
		}
	}
	for name, key := range map[string][]byte{"none": nil, "short": server.Public[1:], "of low order": make([]byte, 32)} {
		if _, err := NewInitiator(p.device, securemsg.ServerKey{Suite: server.Suite, Public: key}, securemsg.Hello{}, seeded("1")); err == nil {
			t.Errorf("NewInitiator took a server key: %s", name)
		}
	}
	for name, keys := range map[string][]ServerKey{"none": nil, "nil": {{Suite: securemsg.X25519}}, "other curve": {{securemsg.X25519, other.device.Key}}} {
		if _, err := NewResponder(limits, keys...); !errors.Is(err, ErrKey) {
			t.Errorf("NewResponder with keys %s = %v, want ErrKey", name, err)
		}
	}
	if _, err := NewResponder(securemsg.Limits{}, ServerKey{securemsg.X25519, p.device.Key}); err == nil {
		t.Error("NewResponder took limits that no device takes")
	}
	if _, err := p.responder.Peer(Registered{p.device.ID, securemsg.X25519, nil}); !errors.Is(err, ErrKey) {
		t.Errorf("Peer without a key = %v, want ErrKey", err)
	}
}

// TestTwoServerKeys: while keys change, devices with either one are served.
func TestTwoServerKeys(t *testing.T) {
	p := newPair(t, securemsg.X25519, "a")
	r, err := NewResponder(limits, ServerKey{securemsg.X25519, seededKey(t, securemsg.X25519, "new")}, ServerKey{securemsg.X25519, seededKey(t, securemsg.X25519, "server")})
	if err != nil {
		t.Fatal(err)
	}
	for _, public := range r.Public() {
		peer, err := r.Peer(p.registered())
		if err != nil {
			t.Fatal(err)
		}
		i, err := NewInitiator(p.device, public, securemsg.Hello{}, seeded("1"))
		if err != nil {
			t.Fatal(err)
		}
		hs2, err := peer.Handshake(i.Frame(), noon, seeded("2"))
		if err != nil {
			t.Fatalf("Handshake with key %x: %v", public.Kid(), err)
		}
		if _, _, err := i.Handshake(hs2, noon); err != nil {
			t.Errorf("Handshake with key %x: %v", public.Kid(), err)
		}
	}
}

// element is a key in a secure element: it can be used, not read, and fails.
type element struct {
	key *ecdh.PrivateKey
	err error
}

func (e *element) PublicKey() *ecdh.PublicKey { return e.key.PublicKey() }
func (e *element) Curve() ecdh.Curve          { return e.key.Curve() }

func (e *element) ECDH(peer *ecdh.PublicKey) ([]byte, error) {
	if e.err != nil {
		return nil, e.err
	}
	return e.key.ECDH(peer)
}

func TestSecureElement(t *testing.T) {
	p := newPair(t, securemsg.P256, "a")
	e := &element{key: seededKey(t, securemsg.P256, "a")}
	p.device.Key = e
	s := p.proven("1", noon)
	p.up(s.device, "second", noon)

	e.err = errors.New("element is locked")
	if _, err := NewInitiator(p.device, p.responder.Public()[0], securemsg.Hello{}, seeded("2")); !errors.Is(err, e.err) {
		t.Errorf("NewInitiator = %v, want %v", err, e.err)
	}
	r, err := NewResponder(limits, ServerKey{securemsg.P256, &element{seededKey(t, securemsg.P256, "server"), e.err}})
	if err != nil {
		t.Fatal(err)
	}
	peer, err := r.Peer(p.registered())
	if err != nil {
		t.Fatal(err)
	}
	if hs2, err := peer.Handshake(s.hs1, noon, seeded("2")); !errors.Is(err, e.err) || hs2 != nil {
		t.Errorf("Handshake = %x, %v, want %v", hs2, err, e.err)
	}
}

// TestNoRandomness: without randomness there is no handshake at either end.
func TestNoRandomness(t *testing.T) {
	for _, suite := range suites {
		p := newPair(t, suite, "a")
		for n := range 8 + 16 + 32 {
			random := io.LimitReader(seeded("1"), int64(n))
			if i, err := NewInitiator(p.device, p.responder.Public()[0], securemsg.Hello{}, random); err == nil {
				t.Errorf("suite %d: NewInitiator with %d random bytes = %v", suite, n, i)
			}
		}
		if _, err := p.peer.Handshake(p.initiator("1").Frame(), noon, io.LimitReader(seeded("1"), 31)); err == nil {
			t.Errorf("suite %d: Handshake with 31 random bytes", suite)
		}
	}
}

func TestHelloTooLong(t *testing.T) {
	p := newPair(t, securemsg.X25519, "a")
	h := securemsg.Hello{Agent: strings.Repeat("a", securemsg.MaxAgent+1)}
	if _, err := NewInitiator(p.device, p.responder.Public()[0], h, seeded("1")); !errors.Is(err, securemsg.ErrMessage) {
		t.Errorf("NewInitiator = %v, want ErrMessage", err)
	}
}

// TestTokenAtTheServer opens a sealed token with the key that it names.
func TestTokenAtTheServer(t *testing.T) {
	r, err := NewResponder(limits, ServerKey{securemsg.P256, seededKey(t, securemsg.P256, "1")}, ServerKey{securemsg.X25519, seededKey(t, securemsg.X25519, "2")})
	if err != nil {
		t.Fatal(err)
	}
	q := securemsg.Request{Key: []byte("identity key"), Identity: `{"mac":"1"}`, Nonce: securemsg.Nonce{7}, Token: "clear"}
	if c, err := r.Credential(q); c.Token != "clear" || c.Identity != q.Identity || err != nil {
		t.Errorf("Credential = %+v, %v", c, err)
	}
	for _, key := range r.Public() {
		q.Token = ""
		if q.Sealed, err = securemsg.SealToken(key, q.Device(), q.Nonce, "secret"); err != nil {
			t.Fatal(err)
		}
		if c, err := r.Credential(q); c.Token != "secret" || err != nil {
			t.Errorf("suite %d: Credential = %+v, %v, want token secret", key.Suite, c, err)
		}
		q.Sealed[len(q.Sealed)-1] ^= 1
		if c, err := r.Credential(q); c != (fleet.Credential{}) || !errors.Is(err, securemsg.ErrSignature) {
			t.Errorf("suite %d, changed: Credential = %+v, %v, want ErrSignature", key.Suite, c, err)
		}
		q.Sealed[0] ^= 1
		if c, err := r.Credential(q); c != (fleet.Credential{}) || !errors.Is(err, ErrKey) {
			t.Errorf("suite %d, other kid: Credential = %+v, %v, want ErrKey", key.Suite, c, err)
		}
	}
}
