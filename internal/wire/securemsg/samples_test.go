package securemsg

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/inventory"
)

// A sample is a message of every shape that the wire has.
type sample struct {
	name  string
	form  string // which parser takes it
	bytes []byte
}

// parsers read a form, and write what they read again.
var parsers = map[string]func([]byte) ([]byte, error){
	"frame": func(src []byte) ([]byte, error) {
		f, err := ParseFrame(src)
		if err != nil {
			return nil, err
		}
		return AppendFrame(nil, f)
	},
	"up":      func(src []byte) ([]byte, error) { return rewrite(ParseUp(src)) },
	"down":    func(src []byte) ([]byte, error) { return rewrite(ParseDown(src)) },
	"hello":   func(src []byte) ([]byte, error) { return reencode(ParseHello(src)) },
	"welcome": func(src []byte) ([]byte, error) { return reencode(ParseWelcome(src)) },
	"request": func(src []byte) ([]byte, error) { return reencode(ParseRequest(src)) },
	"answer":  func(src []byte) ([]byte, error) { return reencode(ParseAnswer(src)) },
}

func rewrite(m Message, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	return m.Append(nil)
}

func reencode[P payload](p P, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	return encode(nil, p)
}

func samples(t testing.TB) []sample {
	t.Helper()
	up := func(name string, m Message) sample { return sample{name, "up", encoded(t)(m.Append(nil))} }
	down := func(name string, m Message) sample { return sample{name, "down", encoded(t)(m.Append(nil))} }
	return append([]sample{
		up("check-in", CheckIn{7, "beaglebone", map[string]string{"artifact_name": "1.4.0", "rootfs-image.version": "1.4.0", "a": ""}}),
		up("check-in-bare", CheckIn{1, "t", nil}),
		up("progress", Progress{Number: 1 << 40, Deployment: "0190d2f0-8b5b-7c6e-9d4f-2a6a1b1c0e01", State: deployment.Downloading, Bytes: 81920}),
		up("progress-end", Progress{Number: 9, Deployment: "d", State: deployment.RolledBack, Detail: "self-test: no network"}),
		up("progress-line", Progress{Number: 10, Deployment: "d", State: deployment.Downloading, Bytes: 1, Sent: 2048, Received: 1 << 33}),
		up("describe", Describe{3, true, inventory.Attributes{"mac": "de:ad", "net": []any{"eth0", "wlan0", 2.0}, "mem": 512.0, "load": 0.1, "none": []any{}}}),
		up("log", Log{4, "d", 65536, 65541, []byte("done\n")}),
		up("log-empty", Log{5, "d", 0, 0, nil}),
		up("ack-of-cancel", Ack{KindCancel, 12, ResultOK, 0}),
		down("assignment", assignment()),
		down("cancel", Cancel{12, "0190d2f0-8b5b-7c6e-9d4f-2a6a1b1c0e01"}),
		down("time", Time{1795402315}),
		down("keys", Keys{3, accepted().Keys[1:]}),
		down("ack", Ack{KindCheckIn, 7, ResultOK, 0}),
		down("ack-busy", Ack{KindProgress, 1 << 40, ResultBusy, 30}),
		{"hello", "hello", encoded(t)(AppendHello(nil, hello()))},
		{"welcome", "welcome", encoded(t)(AppendWelcome(nil, welcome()))},
		{"answer-pending", "answer", encoded(t)(AppendAnswer(nil, Answer{Nonce: nonce(3), Standing: StandingPending, Wait: 60}))},
		{"answer-accepted", "answer", encoded(t)(AppendAnswer(nil, accepted()))},
		{"answer-rejected", "answer", encoded(t)(AppendAnswer(nil, Answer{Nonce: nonce(3), Standing: StandingRejected}))},
		{"request-ed25519", "request", encoded(t)(SignRequest(nil, request(X25519), edKey()))},
		{"request-p256", "request", encoded(t)(SignRequest(nil, request(P256), ecKey()))},
		{"request-sealed", "request", encoded(t)(SignRequest(nil, sealedRequest(), edKey()))},
	}, frames(t)...)
}

func frames(t testing.TB) []sample {
	frame := func(name string, f Frame) sample { return sample{name, "frame", encoded(t)(AppendFrame(nil, f))} }
	session := SessionID{1, 2, 3, 4, 5, 6, 7, 8}
	body := func(n int) []byte { return bytes.Repeat([]byte{0xb0}, n) }
	return []sample{
		frame("frame-hs1", Frame{HS1, X25519, session, AppendHS1(nil, Kid{9, 9}, body(32+40+Tag))}),
		frame("frame-hs2", Frame{HS2, P256, session, body(65 + 40 + Tag)}),
		frame("frame-data", Frame{Data, X25519, session, append(AppendData(nil, 258), body(20+Tag)...)}),
		frame("frame-enrol", Frame{Type: Enrol, Body: []byte{19, 0xa0}}),
		frame("frame-hint", Frame{Type: Hint, Session: session}),
	}
}

func encoded(t testing.TB) func([]byte, error) []byte {
	return func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
}

func assignment() Assignment {
	return Assignment{
		Number: 12, Answers: 7, Device: NewDeviceID([]byte("key")), Expires: 1795488715,
		Deployment: "0190d2f0-8b5b-7c6e-9d4f-2a6a1b1c0e01",
		Artifact: Artifact{
			ID: "0190d2f0-8b5b-7c6e-9d4f-2a6a1b1c0e02", Name: "release-1.5.0", DeviceTypes: []string{"beaglebone", "beaglebone-blue"},
			Size: 8 << 20, SHA256: sha256.Sum256([]byte("artifact")),
		},
		Object: Object{sha256.Sum256([]byte("root")), [16]byte(nonce(4)), 12, [16]byte(nonce(5)), sha256.Sum256([]byte("content key"))},
	}
}

func hello() Hello     { return Hello{Boot: 41, Agent: "1.0.0", Nonce: nonce(1)} }
func welcome() Welcome { return Welcome{1795402315, nonce(1), Limits{32 << 10, 16, 1800}} }

func accepted() Answer {
	return Answer{Nonce: nonce(3), Standing: StandingAccepted, Keys: []ServerKey{
		{X25519, sessionKey(X25519, 1)}, {P256, sessionKey(P256, 1)}, {X25519, sessionKey(X25519, 2)},
	}}
}

func request(s Suite) Request {
	return Request{
		Counter: 1, Nonce: nonce(3), Suite: s, Session: sessionKey(s, 3),
		Identity: `{"mac":"de:ad:be:ef:00:01"}`, Type: "beaglebone", Token: "moult-token",
	}
}

// sealedRequest has the token moult-token, sealed to sessionKey(X25519, 1).
func sealedRequest() Request {
	r := request(X25519)
	r.Token = ""
	r.Sealed, _ = hex.DecodeString("1a92f23852dc908d4b90dc5f3b13c15c685bfb61e87dde1eb040a9200b57d988c9d7d2a848016018ad8226ca5dbbae5aa6507677f3433a73cb51c198fb521d515fb65d")
	return r
}

func nonce(n byte) Nonce { return Nonce(bytes.Repeat([]byte{n}, 16)) }

// sessionKey is the public half of a key that everybody can know.
func sessionKey(s Suite, n byte) []byte {
	curve := map[Suite]ecdh.Curve{X25519: ecdh.X25519(), P256: ecdh.P256()}[s]
	key, err := curve.NewPrivateKey(bytes.Repeat([]byte{n}, 32))
	if err != nil {
		panic(err)
	}
	return key.PublicKey().Bytes()
}

func edKey() crypto.Signer { return ed25519.NewKeyFromSeed([]byte(strings.Repeat("k", 32))) }

func ecKey() crypto.Signer {
	d := sha256.Sum256([]byte("identity"))
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d[:])
	if err != nil {
		panic(err)
	}
	return key
}
