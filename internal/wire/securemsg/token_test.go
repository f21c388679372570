package securemsg

import (
	"bytes"
	"crypto/ecdh"
	"errors"
	"strings"
	"testing"
)

// serverSecret is the private half of sessionKey.
func serverSecret(t *testing.T, s Suite, n byte) *ecdh.PrivateKey {
	t.Helper()
	curve := map[Suite]ecdh.Curve{X25519: ecdh.X25519(), P256: ecdh.P256()}[s]
	key, err := curve.NewPrivateKey(bytes.Repeat([]byte{n}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestSealedToken(t *testing.T) {
	for _, s := range []Suite{X25519, P256} {
		for _, token := range []string{"t", strings.Repeat("t", MaxToken)} {
			server := ServerKey{s, sessionKey(s, 1)}
			r := request(s)
			var err error
			r.Key, r.Token = find(t, "request-ed25519").key(t), ""
			if r.Sealed, err = SealToken(server, r.Device(), r.Nonce, token); err != nil {
				t.Fatal(err)
			}
			got, err := ParseRequest(encoded(t)(SignRequest(nil, r, edKey())))
			if err != nil {
				t.Fatal(err)
			}
			if kid, ok := got.SealedTo(); !ok || kid != server.Kid() || got.Credential().Token != "" {
				t.Errorf("suite %d: SealedTo() = %x, %v, want %x", s, kid, ok, server.Kid())
			}
			if opened, err := got.OpenToken(serverSecret(t, s, 1)); opened != token || err != nil {
				t.Errorf("suite %d: OpenToken = %q, %v, want %q", s, opened, err, token)
			}
		}
	}
	stored, err := ParseRequest(find(t, "request-sealed").bytes)
	if err != nil {
		t.Fatal(err)
	}
	if opened, err := stored.OpenToken(serverSecret(t, X25519, 1)); opened != "moult-token" || err != nil {
		t.Errorf("OpenToken of the stored request = %q, %v", opened, err)
	}
}

// key is the identity key of a request.
func (s sample) key(t *testing.T) []byte {
	t.Helper()
	r, err := ParseRequest(s.bytes)
	if err != nil {
		t.Fatal(err)
	}
	return r.Key
}

// TestStolenToken: a token that is sealed for one device's request opens in no
// other, and for no other server.
func TestStolenToken(t *testing.T) {
	r, err := ParseRequest(find(t, "request-sealed").bytes)
	if err != nil {
		t.Fatal(err)
	}
	other := request(X25519)
	other.Token, other.Sealed, other.Nonce = "", r.Sealed, r.Nonce
	thief, err := ParseRequest(encoded(t)(SignRequest(nil, other, ecKey())))
	if err != nil {
		t.Fatal(err)
	}
	if token, err := thief.OpenToken(serverSecret(t, X25519, 1)); !errors.Is(err, ErrSignature) || token != "" {
		t.Errorf("in the request of another device: OpenToken = %q, %v, want ErrSignature", token, err)
	}
	replayed := r
	replayed.Nonce = nonce(9)
	if token, err := replayed.OpenToken(serverSecret(t, X25519, 1)); !errors.Is(err, ErrSignature) || token != "" {
		t.Errorf("under another nonce: OpenToken = %q, %v, want ErrSignature", token, err)
	}
	if token, err := r.OpenToken(serverSecret(t, X25519, 2)); !errors.Is(err, ErrSignature) || token != "" {
		t.Errorf("at another server: OpenToken = %q, %v, want ErrSignature", token, err)
	}
	for bit := range len(r.Sealed) * 8 {
		flipped := r
		flipped.Sealed = bytes.Clone(r.Sealed)
		flipped.Sealed[bit/8] ^= 1 << (bit % 8)
		if token, err := flipped.OpenToken(serverSecret(t, X25519, 1)); err == nil {
			t.Errorf("bit %d flipped: OpenToken = %q", bit, token)
		}
	}
}

func TestSealTokenRefusals(t *testing.T) {
	good := ServerKey{X25519, sessionKey(X25519, 1)}
	for name, seal := range map[string]func() ([]byte, error){
		"no token":       func() ([]byte, error) { return SealToken(good, DeviceID{}, nonce(1), "") },
		"token too long": func() ([]byte, error) { return SealToken(good, DeviceID{}, nonce(1), strings.Repeat("t", MaxToken+1)) },
		"no key":         func() ([]byte, error) { return SealToken(ServerKey{}, DeviceID{}, nonce(1), "t") },
	} {
		if sealed, err := seal(); !errors.Is(err, ErrMessage) || sealed != nil {
			t.Errorf("%s: SealToken = %x, %v, want ErrMessage", name, sealed, err)
		}
	}
	if _, err := SealToken(ServerKey{X25519, make([]byte, 32)}, DeviceID{}, nonce(1), "t"); err == nil {
		t.Error("SealToken took a key of low order")
	}
	if _, err := request(X25519).OpenToken(serverSecret(t, X25519, 1)); !errors.Is(err, ErrMessage) {
		t.Errorf("OpenToken of a request without one = %v, want ErrMessage", err)
	}
}
