package menderapi

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
)

// The exact body of mender-client 3.4.0, but for its key.
const goldenAuth = `{"id_data":"{\"mac\":\"de:ad:be:ef:00:01\",\"sn\":\"1234\"}","tenant_token":"tenanttok","pubkey":"PEM\n"}`

func TestAuthRequestBytes(t *testing.T) {
	r := AuthRequest{Identity: `{"mac":"de:ad:be:ef:00:01","sn":"1234"}`, TenantToken: "tenanttok", Key: "PEM\n"}
	if got := string(r.Append(nil)); got != goldenAuth {
		t.Errorf("Append = %s, want %s", got, goldenAuth)
	}
	got, err := ParseAuthRequest([]byte(goldenAuth + "\n"))
	if err != nil || got != r {
		t.Errorf("ParseAuthRequest = %+v, %v, want %+v", got, err, r)
	}
}

func TestParseAuthRequestRefuses(t *testing.T) {
	tests := map[string]struct {
		body string
		want error
	}{
		"empty":          {"", ErrSyntax},
		"no identity":    {`{"pubkey":"x"}`, ErrSyntax},
		"no key":         {`{"id_data":"{}"}`, ErrSyntax},
		"object id_data": {`{"id_data":{"mac":"x"},"pubkey":"x"}`, ErrSyntax},
		"two values":     {goldenAuth + goldenAuth, ErrSyntax},
		"long identity":  {`{"pubkey":"x","id_data":"` + strings.Repeat("x", device.MaxIdentity+1) + `"}`, ErrSyntax},
		"long token":     {`{"pubkey":"x","id_data":"x","tenant_token":"` + strings.Repeat("x", MaxEnrolment+1) + `"}`, ErrSyntax},
		"long body":      {goldenAuth + strings.Repeat(" ", MaxAuthBody), fleet.ErrTooLarge},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := ParseAuthRequest([]byte(tt.body)); !errors.Is(err, tt.want) {
				t.Errorf("ParseAuthRequest = %v, want %v", err, tt.want)
			}
		})
	}
}

func testKeys(t *testing.T) map[string]crypto.Signer {
	t.Helper()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]crypto.Signer{"rsa": rsaKey, "p256": p256, "p384": p384, "ed25519": ed}
}

func TestSignVerify(t *testing.T) {
	body := []byte(goldenAuth + "\n")
	for name, signer := range testKeys(t) {
		t.Run(name, func(t *testing.T) {
			key, err := NewKey(signer.Public())
			if err != nil {
				t.Fatal(err)
			}
			sig, err := Sign(signer, body)
			if err != nil {
				t.Fatal(err)
			}
			if err := key.Verify(body, sig); err != nil {
				t.Errorf("Verify of the exact body: %v", err)
			}
			if err := key.Verify(body[:len(body)-1], sig); !errors.Is(err, ErrSignature) {
				t.Errorf("Verify without the newline = %v, want %v", err, ErrSignature)
			}
			raw, _ := base64.StdEncoding.DecodeString(sig)
			raw[len(raw)-1] ^= 1
			for _, bad := range []string{"", "!", base64.StdEncoding.EncodeToString(raw), strings.Repeat("A", maxSignature+4)} {
				if err := key.Verify(body, bad); !errors.Is(err, ErrSignature) {
					t.Errorf("Verify(%.20q) = %v, want %v", bad, err, ErrSignature)
				}
			}
		})
	}
}

func TestVerifyByAnotherKey(t *testing.T) {
	keys := testKeys(t)
	sig, err := Sign(keys["p256"], []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	for name, signer := range keys {
		key, _ := NewKey(signer.Public())
		if err := key.Verify([]byte("x"), sig); (err == nil) != (name == "p256") {
			t.Errorf("Verify by %s = %v", name, err)
		}
	}
}

func TestParseKeyNormalizes(t *testing.T) {
	for name, signer := range testKeys(t) {
		want, _ := NewKey(signer.Public())
		der, _ := x509.MarshalPKIXPublicKey(signer.Public())
		spelled := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Headers: map[string]string{"Comment": "x"}, Bytes: der})
		got, err := ParseKey("\r\n" + string(spelled) + "\n \n")
		if err != nil || got.PEM() != want.PEM() {
			t.Errorf("%s: ParseKey = %q, %v, want %q", name, got.PEM(), err, want.PEM())
		}
	}
}

func TestParseKeyRefuses(t *testing.T) {
	spki := func(public crypto.PublicKey) string {
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	}
	good := testKeys(t)["p256"]
	p224, _ := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	der, _ := x509.MarshalPKCS8PrivateKey(good)
	tests := map[string]string{
		"empty":     "",
		"not PEM":   "ssh-ed25519 AAAA",
		"private":   string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"wrong DER": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")})),
		"two keys":  spki(good.Public()) + spki(good.Public()),
		"P-224":     spki(p224.Public()),
		"RSA-1024":  spki(small.Public()),
		"too long":  spki(good.Public()) + strings.Repeat("\n", device.MaxKey),
	}
	for name, src := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := ParseKey(src); !errors.Is(err, ErrKey) {
				t.Errorf("ParseKey = %v, want %v", err, ErrKey)
			}
		})
	}
	if _, err := Sign(small, nil); !errors.Is(err, ErrKey) {
		t.Errorf("Sign with RSA-1024 = %v, want %v", err, ErrKey)
	}
}
