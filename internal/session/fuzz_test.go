package session

import (
	"errors"
	"testing"

	"github.com/moult-ota/moult/internal/wire/securemsg"
)

// The targets: no panic, and nothing but the true frame is taken. The kept
// corpus is in testdata/fuzz.

func FuzzHandshake(f *testing.F) {
	for _, suite := range suites {
		p := newPair(f, suite, "a")
		s := p.shake("1", noon)
		f.Add(uint8(suite), s.hs1)
		f.Add(uint8(suite), s.hs2)
		f.Add(uint8(suite), s.hs1[:len(s.hs1)-1])
	}
	f.Fuzz(func(t *testing.T, suite uint8, frame []byte) {
		p := newPair(t, securemsg.Suite(1+suite%2), "a")
		hs1 := p.initiator("1").Frame()
		if _, err := p.peer.Handshake(frame, noon, seeded("1 server")); err == nil && string(frame) != string(hs1) {
			t.Errorf("HS1 %x was answered", frame)
		}
		hs2, err := newPair(t, p.suite, "a").peer.Handshake(hs1, noon, seeded("1 server"))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := p.initiator("1").Handshake(frame, noon); err == nil && string(frame) != string(hs2) {
			t.Errorf("HS2 %x was taken", frame)
		}
	})
}

func FuzzOpen(f *testing.F) {
	p := newPair(f, securemsg.X25519, "a")
	s := p.proven("1", noon)
	f.Add(seal(f, s.device, "second", noon))
	f.Add(seal(f, p.peer.Session(), "down", noon))
	f.Add(s.hs1)
	f.Add(seal(f, newPair(f, securemsg.X25519, "a").shake("1", noon).device, "first of 1", noon)) // a duplicate
	f.Fuzz(func(t *testing.T, frame []byte) {
		p := newPair(t, securemsg.X25519, "a")
		device := p.proven("1", noon).device
		second := seal(t, device, "second", noon)
		got, err := p.peer.Open(frame, noon)
		if err == nil && string(frame) != string(second) {
			t.Errorf("%x was opened as %q", frame, got)
		}
		if err != nil && got != nil && !errors.Is(err, ErrDuplicate) {
			t.Errorf("%x was refused (%v) and opened as %q", frame, err, got)
		}
	})
}
