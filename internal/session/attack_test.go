package session

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/wire/securemsg"
)

// The tests of this file are attacks of one who is broker, gateway and
// network, owns other devices, and heard everything before.

// TestModifyOnPath flips every bit of every frame of a session. Nothing gets
// through, and the true frames still do afterwards.
func TestModifyOnPath(t *testing.T) {
	for _, suite := range suites {
		p := newPair(t, suite, "a")
		hs1 := p.initiator("1").Frame()
		for bit, flipped := range flips(hs1) {
			fresh := newPair(t, suite, "a").peer
			if _, err := fresh.Handshake(flipped, noon, seeded("2")); err == nil {
				t.Errorf("suite %d: HS1 with bit %d flipped was answered", suite, bit)
			}
		}
		hs2, err := p.peer.Handshake(hs1, noon, seeded("2"))
		if err != nil {
			t.Fatal(err)
		}
		i := p.initiator("1")
		for bit, flipped := range flips(hs2) {
			i.answers = 0 // one handshake tries maxAnswers; see TestForgedAnswers
			if _, _, err := i.Handshake(flipped, noon); err == nil {
				t.Errorf("suite %d: HS2 with bit %d flipped was taken", suite, bit)
			}
		}
		i.answers = 0
		s, _, err := i.Handshake(hs2, noon)
		if err != nil {
			t.Fatalf("suite %d: the true HS2 after forged ones: %v", suite, err)
		}
		modifyData(t, p, s)
	}
}

func modifyData(t *testing.T, p *pair, device *Session) {
	t.Helper()
	p.up(device, "first", noon)
	down := p.peer.Session()
	for _, size := range []int{0, 1, 300, 4000} {
		message := strings.Repeat("m", size)
		up, dn := seal(t, device, message, noon), seal(t, down, message, noon)
		for bit, flipped := range flips(up) {
			if got, err := p.peer.Open(flipped, noon); err == nil || got != nil {
				t.Errorf("DATA of %d bytes up, bit %d flipped: %q, %v", size, bit, got, err)
			}
		}
		for bit, flipped := range flips(dn) {
			if got, err := device.Open(flipped, noon); err == nil || got != nil {
				t.Errorf("DATA of %d bytes down, bit %d flipped: %q, %v", size, bit, got, err)
			}
		}
		relabelled := bytes.Clone(up)
		relabelled[2] ^= byte(securemsg.X25519 ^ securemsg.P256)
		if got, err := p.peer.Open(relabelled, noon); !errors.Is(err, ErrSession) || got != nil {
			t.Errorf("DATA under the other suite: %q, %v, want ErrSession", got, err)
		}
		if got, err := p.peer.Open(up, noon); string(got) != message || err != nil {
			t.Errorf("the true frame after forged ones: %d bytes, %v", len(got), err)
		}
		if got, err := device.Open(dn, noon); string(got) != message || err != nil {
			t.Errorf("the true frame after forged ones: %d bytes, %v", len(got), err)
		}
	}
}

// TestReplayCommand sends all that was heard once more: in the same session it
// is a duplicate, with its message, so that it can be acknowledged again; in
// another one it is nothing, also under the new session's id.
func TestReplayCommand(t *testing.T) {
	p := newPair(t, securemsg.X25519, "a")
	s := p.proven("1", noon)
	var heard [][]byte
	for _, m := range []string{"a", "b", "c"} {
		heard = append(heard, p.up(s.device, m, noon))
	}
	for i, frame := range heard {
		if got, err := p.peer.Open(frame, noon); string(got) != string("abc"[i]) || !errors.Is(err, ErrDuplicate) {
			t.Errorf("same session: Open = %q, %v, want %c and ErrDuplicate", got, err, "abc"[i])
		}
	}
	next := p.proven("2", noon.Add(time.Hour))
	id := next.device.ID()
	for _, frame := range append(heard, s.hs1, s.hs2) {
		if got, err := p.peer.Open(frame, noon.Add(time.Hour)); !errors.Is(err, ErrSession) || got != nil {
			t.Errorf("new session: Open = %q, %v, want ErrSession", got, err)
		}
		relabelled := bytes.Clone(frame)
		copy(relabelled[4:], id[:])
		if got, err := p.peer.Open(relabelled, noon.Add(time.Hour)); err == nil || got != nil {
			t.Errorf("new session, its id: Open = %q, %v", got, err)
		}
	}
}

// TestReplayedHS1ChangesNothing: an old HS1 is answered, but until a message
// of the device comes with it, the session stays, and so does what is known.
func TestReplayedHS1ChangesNothing(t *testing.T) {
	p := newPair(t, securemsg.X25519, "a")
	old := p.proven("1", noon)
	s := p.proven("2", noon.Add(time.Hour))
	later := noon.Add(2 * time.Hour)
	before, said := p.peer.Session(), p.peer.Hello()
	if _, err := p.peer.Handshake(old.hs1, later, seeded("3")); err != nil {
		t.Fatalf("Handshake on an old HS1 = %v; nobody can tell that it is old", err)
	}
	if p.peer.Session() != before || p.peer.Hello() != said {
		t.Error("an old HS1 replaced the session")
	}
	p.up(s.device, "still here", later)
	if got, err := p.peer.Open(seal(t, old.device, "old keys", noon), later); err == nil {
		t.Errorf("a frame of the old session was opened in the one of its HS1: %q", got)
	}
	if p.peer.Session() != before {
		t.Error("a forged DATA proved a replayed handshake")
	}
}

// TestReplayedHS2: an answer to an earlier handshake is no answer to this one.
func TestReplayedHS2(t *testing.T) {
	p := newPair(t, securemsg.P256, "a")
	old := p.proven("1", noon)
	i := p.initiator("2")
	if _, _, err := i.Handshake(old.hs2, noon); !errors.Is(err, ErrSession) {
		t.Errorf("Handshake on an old HS2 = %v, want ErrSession", err)
	}
	relabelled := bytes.Clone(old.hs2)
	copy(relabelled[4:], i.id[:])
	if _, _, err := i.Handshake(relabelled, noon); !errors.Is(err, ErrForged) {
		t.Errorf("Handshake on an old HS2 under the new id = %v, want ErrForged", err)
	}
}

// TestAnswerToAnotherHello: even the server's own keys make no session when
// the answer is not to what the device said now.
func TestAnswerToAnotherHello(t *testing.T) {
	p := newPair(t, securemsg.X25519, "a")
	i := p.initiator("1")
	f, err := securemsg.ParseFrame(i.Frame())
	if err != nil {
		t.Fatal(err)
	}
	kid, message := f.HS1()
	state, err := party{
		suite: p.suite, static: seededKey(t, p.suite, "server"), ephemeral: seededKey(t, p.suite, "e"), peer: seededKey(t, p.suite, "a").PublicKey(),
		prologue: securemsg.AppendPrologue(nil, p.suite, p.device.ID, kid, f.Session),
	}.begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := state.ReadMessage(nil, message); err != nil {
		t.Fatal(err)
	}
	welcome, err := securemsg.AppendWelcome(nil, securemsg.Welcome{Nonce: securemsg.Nonce{1}, Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	if f.Body, _, _, err = state.WriteMessage(nil, welcome); err != nil {
		t.Fatal(err)
	}
	f.Type = securemsg.HS2
	hs2, err := securemsg.AppendFrame(nil, f)
	if err != nil {
		t.Fatal(err)
	}
	if s, _, err := i.Handshake(hs2, noon); !errors.Is(err, ErrForged) || s != nil {
		t.Errorf("Handshake = %v, %v, want ErrForged", s, err)
	}
}

// A receiver is where an enemy can hand in a frame.
type receiver struct {
	name string
	take func([]byte) error
}

// TestSwappedFrames gives every kind of frame of every device, direction and
// session to every other receiver.
func TestSwappedFrames(t *testing.T) {
	for _, suite := range suites {
		type made struct {
			name  string
			frame []byte
		}
		var frames []made
		var receivers []receiver
		for _, name := range []string{"a", "b"} {
			p := newPair(t, suite, name)
			for n, seed := range []string{"1", "2"} { // both devices draw the same session ids
				now := noon.Add(time.Duration(n) * time.Hour)
				s := p.proven(seed, now)
				who := name + seed
				frames = append(frames, made{who + " HS1", s.hs1}, made{who + " HS2", s.hs2},
					made{who + " up", seal(t, s.device, "x", now)}, made{who + " down", seal(t, p.peer.Session(), "x", now)})
				peer, device, waiting := *p.peer, s.device, p.initiator(seed)
				receivers = append(receivers,
					receiver{who + " up", func(f []byte) error { _, err := (&peer).Open(f, now); return err }},
					receiver{who + " down", func(f []byte) error { _, err := device.Open(f, now); return err }},
					receiver{who + " HS2", func(f []byte) error { waiting.answers = 0; _, _, err := waiting.Handshake(f, now); return err }},
					receiver{name + " HS1", func(f []byte) error {
						_, err := newPair(t, suite, name).peer.Handshake(f, now, seeded("x"))
						return err
					}})
			}
		}
		for _, f := range frames {
			for _, r := range receivers {
				own := f.name == r.name || strings.HasSuffix(f.name, "HS1") && r.name == f.name[:1]+" HS1"
				if err := r.take(f.frame); (err == nil) != own {
					t.Errorf("suite %d: %s given to %s = %v", suite, f.name, r.name, err)
				}
			}
		}
	}
}

// TestUnknownDevice: who is not registered costs no curve operation and no
// randomness, and so does every HS1 that can be seen through before.
func TestUnknownDevice(t *testing.T) {
	uses := 0
	r, err := NewResponder(limits, ServerKey{securemsg.X25519, counted{seededKey(t, securemsg.X25519, "server"), &uses}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Peer(Registered{}); !errors.Is(err, ErrUnknown) {
		t.Errorf("Peer of an unknown device = %v, want ErrUnknown", err)
	}
	p := newPair(t, securemsg.X25519, "a")
	peer, err := r.Peer(p.registered())
	if err != nil {
		t.Fatal(err)
	}
	hs1 := p.initiator("1").Frame()
	otherKid := bytes.Clone(hs1)
	otherKid[securemsg.HeaderSize] ^= 1
	for name, frame := range map[string][]byte{
		"kid":   otherKid,
		"suite": newPair(t, securemsg.P256, "a").initiator("1").Frame(),
		"short": hs1[:60],
		"type":  append([]byte{1, byte(securemsg.HS2)}, hs1[2:]...),
	} {
		if _, err := peer.Handshake(frame, noon, dry{t}); err == nil || uses > 0 {
			t.Errorf("%s: Handshake = %v after %d curve operations", name, err, uses)
		}
	}
	if _, err := peer.Handshake(hs1, noon, seeded("2")); err != nil || uses != 2 {
		t.Errorf("Handshake = %v after %d operations with the server's key, want 2", err, uses)
	}
	for n := 1; n < ShakeBurst; n++ {
		if _, err := peer.Handshake(p.initiator(fmt.Sprint("more", n)).Frame(), noon, seeded("2")); err != nil {
			t.Errorf("Handshake %d at once = %v", n+1, err)
		}
	}
	uses = 0
	if _, err := peer.Handshake(p.initiator("3").Frame(), noon.Add(time.Second), dry{t}); !errors.Is(err, ErrEarly) || uses != 0 {
		t.Errorf("Handshake a second later = %v after %d operations, want ErrEarly", err, uses)
	}
}

// TestHandshakeFlood: of a flood of HS1 a burst is worked on, and then one in
// 10 s, forged ones included; one that is doubled on its way gets the same
// answer.
func TestHandshakeFlood(t *testing.T) {
	p := newPair(t, securemsg.X25519, "a")
	hs1 := p.initiator("1").Frame()
	first, err := p.peer.Handshake(hs1, noon, seeded("2"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := p.peer.Handshake(hs1, noon.Add(answerStays-time.Second), dry{t})
	if err != nil || !bytes.Equal(again, first) {
		t.Errorf("a doubled HS1 got %x, %v, want the same answer", again, err)
	}
	forged := p.initiator("3").Frame()
	forged[len(forged)-1] ^= 1
	for range ShakeBurst - 1 {
		if _, err := p.peer.Handshake(forged, noon, seeded("4")); !errors.Is(err, ErrForged) {
			t.Errorf("a forged HS1 = %v, want ErrForged", err)
		}
	}
	if _, err := p.peer.Handshake(p.initiator("5").Frame(), noon.Add(ShakeBurst*ShakeEvery-1), dry{t}); !errors.Is(err, ErrEarly) {
		t.Errorf("after a burst = %v, want ErrEarly", err)
	}
	if _, err := p.peer.Handshake(p.initiator("5").Frame(), noon.Add(ShakeBurst*ShakeEvery), seeded("6")); err != nil {
		t.Errorf("after %v: %v", ShakeBurst*ShakeEvery, err)
	}
}

func TestShakes(t *testing.T) {
	const burst = ShakeBurst * ShakeEvery
	for _, tt := range []struct {
		name  string
		noted []time.Duration // before noon
		want  time.Duration
	}{
		{"never", nil, 0},
		{"fewer than a burst", []time.Duration{0, 0}, 0},
		{"a burst now", []time.Duration{0, 0, 0}, burst},
		{"a burst, its first long ago", []time.Duration{burst, 0, 0}, 0},
		{"a burst, its first almost long ago", []time.Duration{burst - 1, 0, 0}, 1},
		{"one more than a burst", []time.Duration{burst, time.Second, 0, 0}, burst - time.Second},
		{"clock set back", []time.Duration{-time.Hour, -time.Hour, -time.Hour}, 0},
	} {
		var s Shakes
		for _, before := range tt.noted {
			s.Note(noon.Add(-before))
		}
		if got := s.Wait(noon); got != tt.want {
			t.Errorf("%s: Wait = %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestDowngrade: nobody can talk two ends into another suite.
func TestDowngrade(t *testing.T) {
	strong, weak := newPair(t, securemsg.X25519, "a"), newPair(t, securemsg.P256, "a")
	both, err := NewResponder(limits, ServerKey{securemsg.X25519, seededKey(t, securemsg.X25519, "server")}, ServerKey{securemsg.P256, seededKey(t, securemsg.P256, "server")})
	if err != nil {
		t.Fatal(err)
	}
	peer, err := both.Peer(strong.registered())
	if err != nil {
		t.Fatal(err)
	}
	hs1 := weak.initiator("1").Frame()
	if _, err := peer.Handshake(hs1, noon, dry{t}); !errors.Is(err, ErrSuite) {
		t.Errorf("HS1 of a suite that is not registered = %v, want ErrSuite", err)
	}
	kidOfOther := bytes.Clone(strong.initiator("1").Frame())
	kid := both.Public()[1].Kid()
	copy(kidOfOther[securemsg.HeaderSize:], kid[:])
	if _, err := peer.Handshake(kidOfOther, noon, dry{t}); !errors.Is(err, ErrKey) {
		t.Errorf("HS1 with a key of another suite = %v, want ErrKey", err)
	}
	if _, err := NewInitiator(strong.device, weak.responder.Public()[0], securemsg.Hello{}, dry{t}); !errors.Is(err, ErrSuite) {
		t.Errorf("NewInitiator with a server key of another suite = %v, want ErrSuite", err)
	}
	i := strong.initiator("1")
	hs2, err := peer.Handshake(i.Frame(), noon, seeded("2"))
	if err != nil {
		t.Fatal(err)
	}
	long := append(bytes.Clone(hs2), make([]byte, 33)...)
	long[2] = byte(securemsg.P256)
	if _, _, err := i.Handshake(long, noon); !errors.Is(err, ErrSuite) {
		t.Errorf("HS2 of another suite = %v, want ErrSuite", err)
	}
}

// TestImpostors: who lacks a key of one end is not that end, whatever else
// he has.
func TestImpostors(t *testing.T) {
	for _, suite := range suites {
		p := newPair(t, suite, "a")
		thief := p.device
		thief.Key = seededKey(t, suite, "other")
		i, err := NewInitiator(thief, p.responder.Public()[0], securemsg.Hello{}, seeded("1"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.peer.Handshake(i.Frame(), noon, seeded("2")); !errors.Is(err, ErrForged) {
			t.Errorf("suite %d: HS1 under another device's id = %v, want ErrForged", suite, err)
		}
		// A false server that is asked under the true one's kid.
		impostor, err := NewResponder(limits, ServerKey{suite, seededKey(t, suite, "false")})
		if err != nil {
			t.Fatal(err)
		}
		impostor.keys[p.responder.Public()[0].Kid()] = serverKey{suite, seededKey(t, suite, "false")}
		peer, err := impostor.Peer(p.registered())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := peer.Handshake(p.initiator("3").Frame(), noon, seeded("4")); !errors.Is(err, ErrForged) {
			t.Errorf("suite %d: a false server opened an HS1: %v", suite, err)
		}
	}
}

// TestForgedAnswers: points that are none do not spoil a handshake, and a
// flood of answers ends it.
func TestForgedAnswers(t *testing.T) {
	for _, suite := range suites {
		p := newPair(t, suite, "a")
		i := p.initiator("1")
		hs2, err := p.peer.Handshake(i.Frame(), noon, seeded("2"))
		if err != nil {
			t.Fatal(err)
		}
		noPoint := bytes.Clone(hs2)
		clear(noPoint[securemsg.HeaderSize : securemsg.HeaderSize+suite.PublicSize()])
		for range maxAnswers - 1 {
			if _, _, err := i.Handshake(noPoint, noon); !errors.Is(err, ErrForged) {
				t.Errorf("suite %d: HS2 without a point = %v, want ErrForged", suite, err)
			}
		}
		flooded := *i
		if _, _, err := i.Handshake(hs2, noon); err != nil {
			t.Errorf("suite %d: the true HS2 after forged ones: %v", suite, err)
		}
		if _, _, err := i.Handshake(hs2, noon); !errors.Is(err, ErrDuplicate) {
			t.Errorf("suite %d: HS2 again = %v, want ErrDuplicate", suite, err)
		}
		flooded.answers = maxAnswers
		if _, _, err := flooded.Handshake(hs2, noon); !errors.Is(err, ErrOver) {
			t.Errorf("suite %d: HS2 after %d forged ones = %v, want ErrOver", suite, maxAnswers, err)
		}
	}
}

// TestFastForward: a counter set ahead by somebody else moves no window.
func TestFastForward(t *testing.T) {
	p := newPair(t, securemsg.X25519, "a")
	s := p.proven("1", noon)
	frame := seal(t, s.device, "x", noon)
	for _, counter := range []uint64{1 << 19, maxMessages, 1<<64 - 1} {
		ahead := bytes.Clone(frame)
		binary.BigEndian.PutUint64(ahead[securemsg.HeaderSize:], counter)
		if got, err := p.peer.Open(ahead, noon); err == nil || got != nil {
			t.Errorf("counter %d: Open = %q, %v", counter, got, err)
		}
	}
	if got, err := p.peer.Open(frame, noon); string(got) != "x" || err != nil {
		t.Errorf("Open of the true frame = %q, %v", got, err)
	}
}

// TestBeforeProof: the server pushes nothing into a session that no message
// has proven, and a frame before any handshake is of no session.
func TestBeforeProof(t *testing.T) {
	p := newPair(t, securemsg.X25519, "a")
	if s := p.peer.Session(); s != nil {
		t.Errorf("Session() before a handshake = %v", s)
	}
	s := p.shake("1", noon)
	if s := p.peer.Session(); s != nil {
		t.Errorf("Session() before the first DATA = %v", s)
	}
	hint, err := securemsg.AppendFrame(nil, securemsg.Frame{Type: securemsg.Hint, Session: s.device.ID()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.device.Open(hint, noon); !errors.Is(err, ErrSession) {
		t.Errorf("Open of a hint = %v, want ErrSession", err)
	}
	other := newPair(t, securemsg.X25519, "a")
	if _, err := other.peer.Open(seal(t, s.device, "x", noon), noon); !errors.Is(err, ErrSession) {
		t.Errorf("Open at a server that was restarted = %v, want ErrSession", err)
	}
	p.up(s.device, "first", noon)
	if p.peer.Session() == nil {
		t.Error("no session after the first DATA")
	}
	if _, err := p.peer.Handshake(s.hs1, noon.Add(time.Minute), dry{t}); !errors.Is(err, ErrSession) {
		t.Errorf("the HS1 of the current session again = %v, want ErrSession", err)
	}
}
