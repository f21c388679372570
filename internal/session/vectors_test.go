package session

import (
	"bytes"
	"crypto/ecdh"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/wire/securemsg"
)

var update = flag.Bool("update", false, "write testdata/vectors anew")

// A transcript is a file of testdata/vectors: what both ends hold, and frames
// that are handed to them in order, or messages that they seal.
//
//	suite: 01
//	device-id, device-secret, server-secret: hex
//	device-random: session id, nonce, ephemeral key    server-random: ephemeral key
//	seconds: the clock of both
//
//	begin: device         the device begins
//	out: hex              its HS1
//
//	frame: hex            handed to the server, or the device
//	to: server
//	expect: ok            or a part of the error
//	out: hex              HS2, or the message; with a duplicate, too
//
//	seal: hex
//	by: device
//	out: hex              the frame
type transcript struct {
	strings.Builder
	t *testing.T
	stage
}

// A stage is both ends while a transcript runs.
type stage struct {
	initiator *Initiator
	peer      *Peer
	device    *Session
	now       time.Time
}

func setUp(head map[string]string) (stage, error) {
	b := map[string][]byte{}
	for _, name := range []string{"suite", "device-id", "device-secret", "server-secret", "device-random", "server-random"} {
		v, err := hex.DecodeString(head[name])
		if err != nil || len(v) == 0 {
			return stage{}, fmt.Errorf("%s: %q, %w", name, head[name], err)
		}
		b[name] = v
	}
	var seconds int64
	if _, err := fmt.Sscan(head["seconds"], &seconds); err != nil {
		return stage{}, err
	}
	suite := securemsg.Suite(b["suite"][0])
	curve, err := curveOf(suite)
	if err != nil {
		return stage{}, err
	}
	device, err1 := curve.NewPrivateKey(b["device-secret"])
	server, err2 := curve.NewPrivateKey(b["server-secret"])
	if err := errors.Join(err1, err2); err != nil {
		return stage{}, err
	}
	return stageOf(suite, securemsg.DeviceID(b["device-id"]), device, server, bytes.NewReader(b["device-random"]), time.Unix(seconds, 0))
}

func stageOf(suite securemsg.Suite, id securemsg.DeviceID, device, server *ecdh.PrivateKey, random io.Reader, now time.Time) (s stage, err error) {
	r, err := NewResponder(limits, ServerKey{suite, server})
	if err != nil {
		return s, err
	}
	if s.peer, err = r.Peer(Registered{id, suite, device.PublicKey().Bytes()}); err != nil {
		return s, err
	}
	s.initiator, err = NewInitiator(Device{id, suite, device}, r.Public()[0], securemsg.Hello{Boot: 41, Agent: "1.0.0"}, random)
	s.now = now
	return s, err
}

// hand gives a frame to one end and returns what comes out.
func (s *stage) hand(to string, frame []byte, random io.Reader) (out []byte, err error) {
	f, err := securemsg.ParseFrame(frame)
	if err != nil {
		return nil, err
	}
	switch {
	case to == "server" && f.Type == securemsg.HS1:
		return s.peer.Handshake(frame, s.now, random)
	case to == "server":
		return s.peer.Open(frame, s.now)
	case f.Type == securemsg.Data && s.device != nil:
		return s.device.Open(frame, s.now)
	}
	device, w, err := s.initiator.Handshake(frame, s.now)
	if err != nil {
		return nil, err
	}
	s.device = device
	return securemsg.AppendWelcome(nil, w)
}

func (s *stage) seal(by string, message []byte) ([]byte, error) {
	if by == "server" {
		return s.peer.Session().Seal(nil, message, s.now)
	}
	return s.device.Seal(nil, message, s.now)
}

const secretOfServer = "2122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f40"

// write makes the transcript of a suite.
func write(t *testing.T, suite securemsg.Suite) string {
	head := [][2]string{
		{"suite", fmt.Sprintf("%02x", uint8(suite))},
		{"device-id", securemsg.NewDeviceID([]byte("device")).String()},
		{"device-secret", "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"},
		{"server-secret", secretOfServer},
		{"device-random", "a0a1a2a3a4a5a6a7" + "b0b1b2b3b4b5b6b7b8b9babbbcbdbebf" + strings.Repeat("c1", 32)},
		{"server-random", strings.Repeat("d1", 32)},
		{"seconds", "1795402315"},
	}
	tr, fields := &transcript{t: t}, map[string]string{}
	for _, h := range head {
		fields[h[0]] = h[1]
		fmt.Fprintf(tr, "%s: %s\n", h[0], h[1])
	}
	var err error
	if tr.stage, err = setUp(fields); err != nil {
		t.Fatal(err)
	}
	hs1 := tr.initiator.Frame()
	fmt.Fprintf(tr, "\nbegin: device\nout: %x\n", hs1)
	tr.handed("server", flip(hs1, 2), fields)  // suite
	tr.handed("server", flip(hs1, 12), fields) // kid
	hs2 := tr.handed("server", hs1, fields)
	tr.handed("server", hs1, fields)
	tr.handed("device", flip(hs2, 4), fields) // session id
	tr.handed("device", flip(hs2, len(hs2)-1), fields)
	tr.handed("device", hs2, fields)
	tr.exchange(fields)
	return tr.String()
}

func (tr *transcript) exchange(fields map[string]string) {
	first, second := tr.sealed("device", "first"), tr.sealed("device", "second")
	tr.handed("server", flip(first, len(first)-1), fields)
	tr.handed("server", second, fields)
	tr.handed("server", first, fields)
	tr.handed("server", first, fields)
	down := tr.sealed("server", "answer")
	tr.handed("server", down, fields)
	tr.handed("device", second, fields)
	tr.handed("device", flip(down, 19), fields) // counter
	tr.handed("device", down, fields)
	tr.handed("device", down, fields)
}

func (tr *transcript) handed(to string, frame []byte, fields map[string]string) []byte {
	random, _ := hex.DecodeString(fields["server-random"])
	tr.now = tr.now.Add(ShakeEvery) // so that each HS1 is worked on
	out, err := tr.hand(to, frame, bytes.NewReader(random))
	fmt.Fprintf(tr, "\nframe: %x\nto: %s\nexpect: %s\nout: %x\n", frame, to, expectation(err), out)
	return out
}

func (tr *transcript) sealed(by, message string) []byte {
	frame, err := tr.seal(by, []byte(message))
	if err != nil {
		tr.t.Fatal(err)
	}
	fmt.Fprintf(tr, "\nseal: %x\nby: %s\nout: %x\n", message, by, frame)
	return frame
}

// expectation is the part of an error that does not depend on the code.
func expectation(err error) string {
	for _, known := range []error{ErrForged, ErrDuplicate, ErrSession, ErrSuite, ErrKey, securemsg.ErrFrame} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	if err != nil {
		return err.Error()
	}
	return "ok"
}

func flip(frame []byte, at int) []byte {
	frame = bytes.Clone(frame)
	frame[at] ^= 3
	return frame
}

func vectorFile(suite securemsg.Suite) string {
	return fmt.Sprintf("testdata/vectors/suite-%02x.txt", uint8(suite))
}

func TestGoldenVectors(t *testing.T) {
	for _, suite := range suites {
		want := write(t, suite)
		if *update {
			if err := os.WriteFile(vectorFile(suite), []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(vectorFile(suite)); err != nil || string(got) != want {
			t.Errorf("%s (%v) holds\n%s\nwant\n%s\nrun with -update", vectorFile(suite), err, got, want)
		}
	}
}

// TestVectors replays the files alone, as another implementation would.
func TestVectors(t *testing.T) {
	for _, suite := range suites {
		text, err := os.ReadFile(vectorFile(suite))
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(strings.TrimSpace(string(text)), "\n\n")
		head := fieldsOf(parts[0])
		s, err := setUp(head)
		if err != nil {
			t.Fatal(err)
		}
		if len(parts) < 18 {
			t.Errorf("suite %d: %d steps", suite, len(parts))
		}
		for n, part := range parts[1:] {
			if got, expect, err := s.step(head, fieldsOf(part)); err != nil || got != expect {
				t.Errorf("suite %d, step %d: %s, %v, want\n%s", suite, n+1, got, err, part)
			}
		}
	}
}

// step does one part and returns what came and what the file wants.
func (s *stage) step(head, f map[string]string) (got, want string, err error) {
	want = f["expect"] + " " + f["out"]
	switch {
	case f["begin"] != "":
		return fmt.Sprintf(" %x", s.initiator.Frame()), want, nil
	case f["seal"] != "":
		message, err := hex.DecodeString(f["seal"])
		if err != nil {
			return "", "", err
		}
		frame, err := s.seal(f["by"], message)
		return fmt.Sprintf(" %x", frame), want, err
	}
	frame, err := hex.DecodeString(f["frame"])
	if err != nil {
		return "", "", err
	}
	random, _ := hex.DecodeString(head["server-random"])
	s.now = s.now.Add(ShakeEvery)
	out, err := s.hand(f["to"], frame, bytes.NewReader(random))
	return fmt.Sprintf("%s %x", expectation(err), out), want, nil
}

func fieldsOf(part string) map[string]string {
	f := map[string]string{}
	for _, line := range strings.Split(part, "\n") {
		name, value, _ := strings.Cut(line, ": ")
		f[strings.TrimSuffix(name, ":")] = value
	}
	return f
}
