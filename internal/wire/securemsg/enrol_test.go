package securemsg

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"math/big"
	"reflect"
	"strings"
	"testing"

	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/wire/menderapi"
)

func TestRequest(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]crypto.Signer{"Ed25519": edKey(), "P-256": ecKey(), "P-384": p384, "RSA": rsaKey} {
		src := encoded(t)(SignRequest(nil, request(X25519), key))
		got, err := ParseRequest(src)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := request(X25519)
		want.Key, want.Signature = got.Key, got.Signature
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: ParseRequest = %+v, want %+v", name, got, want)
		}
		checkCredential(t, got, key)
	}
}

// checkCredential wants the same credential that other protocols make of the
// same key, so that a device is one device over all of them.
func checkCredential(t *testing.T, r Request, key crypto.Signer) {
	t.Helper()
	normal, err := menderapi.NewKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	if c := r.Credential(); c.Key != normal.PEM() || c.Identity != r.Identity || c.Token != r.Token {
		t.Errorf("Credential() = %+v, want key %s", c, normal.PEM())
	}
	spki, _ := x509.MarshalPKIXPublicKey(key.Public())
	if sum := sha256.Sum256(spki); r.Device() != DeviceID(sum[:16]) {
		t.Errorf("Device() = %s, want %x", r.Device(), sum[:16])
	}
}

func TestWeakIdentityKeys(t *testing.T) {
	t.Setenv("GODEBUG", "rsa1024min=0")
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]crypto.Signer{"RSA-1024": weak, "P-521": p521} {
		if _, err := SignRequest(nil, request(X25519), key); !errors.Is(err, ErrIdentityKey) {
			t.Errorf("SignRequest with %s = %v, want ErrIdentityKey", name, err)
		}
		spki, _ := x509.MarshalPKIXPublicKey(key.Public())
		if _, err := ParseIdentityKey(spki); !errors.Is(err, ErrIdentityKey) {
			t.Errorf("ParseIdentityKey of %s = %v, want ErrIdentityKey", name, err)
		}
	}
}

// TestTwoNamesOfOneKey: DER can say one key in two ways, with unused bits
// behind it. A device has one id, so one of them is refused.
func TestTwoNamesOfOneKey(t *testing.T) {
	var spki []byte
	for seed := byte(0); ; seed++ {
		key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, 32))
		if public := key.Public().(ed25519.PublicKey); public[0] < 0x80 {
			spki, _ = x509.MarshalPKIXPublicKey(public)
			break
		}
	}
	n := len(spki) - 32 // the byte before says how many bits are unused
	shifted := bytes.Clone(spki)
	new(big.Int).Lsh(new(big.Int).SetBytes(spki[n:]), 1).FillBytes(shifted[n:])
	shifted[n-1] = 1
	if _, err := x509.ParsePKIXPublicKey(shifted); err != nil {
		t.Fatalf("the other encoding is none: %v", err)
	}
	if _, err := ParseIdentityKey(spki); err != nil {
		t.Errorf("ParseIdentityKey = %v", err)
	}
	if _, err := ParseIdentityKey(shifted); !errors.Is(err, ErrIdentityKey) {
		t.Errorf("ParseIdentityKey of the other encoding = %v, want ErrIdentityKey", err)
	}
}

// TestBorrowedIdentity: a request signed by one key that shows another, and a
// session key exchanged under a signature, are refused.
func TestBorrowedIdentity(t *testing.T) {
	r, err := ParseRequest(encoded(t)(SignRequest(nil, request(X25519), edKey())))
	if err != nil {
		t.Fatal(err)
	}
	other, err := ParseRequest(encoded(t)(SignRequest(nil, request(X25519), ecKey())))
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Request){
		"key of another": func(r *Request) { r.Key = other.Key },
		"session key":    func(r *Request) { r.Session = sessionKey(X25519, 9) },
		"counter":        func(r *Request) { r.Counter++ },
		"type":           func(r *Request) { r.Type = "rpi" },
		"token":          func(r *Request) { r.Token = "" },
		"sealed token":   func(r *Request) { r.Token, r.Sealed = "", make([]byte, minSealed) },
		"identity":       func(r *Request) { r.Identity = `{"mac":"2"}` },
		"suite":          func(r *Request) { r.Suite, r.Session = P256, sessionKey(P256, 3) },
	} {
		spoilt := r
		spoil(&spoilt)
		if _, err := ParseRequest(encoded(t)(encode(nil, spoilt))); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: ParseRequest = %v, want ErrSignature", name, err)
		}
	}
}

func TestRequestRefusals(t *testing.T) {
	for name, spoil := range map[string]func(*Request){
		"no type":               func(r *Request) { r.Type = "" },
		"token too long":        func(r *Request) { r.Token = strings.Repeat("t", MaxToken+1) },
		"two tokens":            func(r *Request) { r.Sealed = make([]byte, minSealed) },
		"sealed token short":    func(r *Request) { r.Token, r.Sealed = "", make([]byte, minSealed-1) },
		"sealed token long":     func(r *Request) { r.Token, r.Sealed = "", make([]byte, maxSealed+1) },
		"no identity":           func(r *Request) { r.Identity = "" },
		"identity out of order": func(r *Request) { r.Identity = `{"b":"1","a":"2"}` },
		"identity too long":     func(r *Request) { r.Identity = device.Identity(`{"a":"` + strings.Repeat("x", 4096) + `"}`) },
		"session key too short": func(r *Request) { r.Session = r.Session[1:] },
		"key of another suite":  func(r *Request) { r.Suite = P256 },
		"point of low order":    func(r *Request) { r.Session = make([]byte, 32) },
		"no suite":              func(r *Request) { r.Suite = NoSuite },
		"point off the curve":   func(r *Request) { r.Suite, r.Session = P256, append([]byte{4}, make([]byte, 64)...) },
	} {
		r := request(X25519)
		spoil(&r)
		if _, err := SignRequest(nil, r, edKey()); !errors.Is(err, ErrMessage) {
			t.Errorf("%s: SignRequest = %v, want ErrMessage", name, err)
		}
	}
}

// TestServerKeyExchangedByTheBroker: of the keys in an answer, a device with
// pins keeps those that are pinned, and no flipped bit makes another one.
func TestServerKeyExchangedByTheBroker(t *testing.T) {
	pin := Pin(sha256.Sum256(sessionKey(X25519, 1)))
	src := encoded(t)(AppendAnswer(nil, accepted()))
	for bit := range len(src) * 8 {
		flipped := append([]byte{}, src...)
		flipped[bit/8] ^= 1 << (bit % 8)
		a, err := ParseAnswer(flipped)
		if err != nil {
			continue
		}
		for _, k := range Pinned(a.Keys, []Pin{pin}) {
			if !reflect.DeepEqual(k, accepted().Keys[0]) {
				t.Errorf("bit %d flipped: kept key %x", bit, k.Public)
			}
		}
	}
	if got := Pinned(accepted().Keys, []Pin{pin}); len(got) != 1 || got[0].Kid() != NewKid(sessionKey(X25519, 1)) {
		t.Errorf("Pinned = %+v, want the first key alone", got)
	}
	if got := Pinned(accepted().Keys, nil); got != nil {
		t.Errorf("Pinned without pins = %+v, want none", got)
	}
}
