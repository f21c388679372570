package mqttlogin_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/wire/mqttlogin"
)

var now = time.Unix(1_800_000_000, 0)

const id = "0123456789abcdef0123456789abcdef"

func keys(t *testing.T) map[string]crypto.Signer {
	t.Helper()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	check(t, err)
	return map[string]crypto.Signer{"ES256": ec, "EdDSA": ed, "RS256": rs}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func token(t *testing.T, k crypto.Signer, life time.Duration) string {
	t.Helper()
	s, err := mqttlogin.Sign(rand.Reader, k, id, now, life)
	check(t, err)
	return s
}

func TestToken(t *testing.T) {
	for alg, k := range keys(t) {
		s := token(t, k, mqttlogin.MaxLife)
		for _, tt := range []struct {
			name string
			id   string
			at   time.Duration
			want error
		}{
			{"now", id, 0, nil},
			{"at its end", id, time.Hour, nil},
			{"by a clock that is fast", id, time.Hour + mqttlogin.Skew, nil},
			{"by a clock that is slow", id, -mqttlogin.Skew, nil},
			{"after its end", id, time.Hour + mqttlogin.Skew + time.Second, mqttlogin.ErrExpired},
			{"long before", id, -mqttlogin.Skew - time.Second, mqttlogin.ErrMalformed},
			{"of another device", strings.Repeat("f", 32), 0, mqttlogin.ErrSubject},
		} {
			if err := mqttlogin.Verify(s, k.Public(), tt.id, now.Add(tt.at)); !errors.Is(err, tt.want) {
				t.Errorf("%s %s: Verify() = %v, want %v", alg, tt.name, err, tt.want)
			}
		}
		if !strings.HasPrefix(s, base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"`+alg+`","typ":"JWT"}`))+".") {
			t.Errorf("%s: token begins with another header: %s", alg, s)
		}
		if s := token(t, k, 24*time.Hour); mqttlogin.Verify(s, k.Public(), id, now) != nil {
			t.Errorf("%s: a token that was asked to live long is not shortened", alg)
		}
	}
}

// TestAnotherKey: of whatever kind, another key's token is refused.
func TestAnotherKey(t *testing.T) {
	mine, theirs := keys(t), keys(t)
	for a, k := range mine {
		for b, other := range theirs {
			if err := mqttlogin.Verify(token(t, other, time.Hour), k.Public(), id, now); err == nil {
				t.Errorf("key for %s takes a token by another key for %s", a, b)
			}
		}
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	check(t, err)
	if _, err := mqttlogin.Sign(rand.Reader, p384, id, now, time.Hour); !errors.Is(err, mqttlogin.ErrKey) {
		t.Errorf("Sign with P-384 = %v, want %v", err, mqttlogin.ErrKey)
	}
}

// TestEveryCharacter: a token with one character changed, added or missing is
// refused.
func TestEveryCharacter(t *testing.T) {
	for alg, k := range keys(t) {
		s := token(t, k, time.Hour)
		for i := range s {
			for _, change := range []string{s[:i] + "A" + s[i+1:], s[:i] + s[i+1:], s[:i] + "_" + s[i:], s[:i] + "." + s[i:]} {
				if change != s && mqttlogin.Verify(change, k.Public(), id, now) == nil {
					t.Fatalf("%s: changed at %d, and taken: %s", alg, i, change)
				}
			}
		}
	}
}

// TestOtherForms of the same statement, well signed, are refused.
func TestOtherForms(t *testing.T) {
	_, k, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	head, exp := `{"alg":"EdDSA","typ":"JWT"}`, `"exp":1800003600`
	for name, tt := range map[string]struct {
		head, body string
		ok         bool
	}{
		"ours":                {head, `{"sub":"` + id + `","aud":"moult-mqtt",` + exp + `}`, true},
		"alg none":            {`{"alg":"none","typ":"JWT"}`, `{"sub":"` + id + `","aud":"moult-mqtt",` + exp + `}`, false},
		"alg HS256":           {`{"alg":"HS256","typ":"JWT"}`, `{"sub":"` + id + `","aud":"moult-mqtt",` + exp + `}`, false},
		"key in the header":   {`{"alg":"EdDSA","typ":"JWT","jwk":{}}`, `{"sub":"` + id + `","aud":"moult-mqtt",` + exp + `}`, false},
		"another audience":    {head, `{"sub":"` + id + `","aud":"moult-http",` + exp + `}`, false},
		"another order":       {head, `{"aud":"moult-mqtt","sub":"` + id + `",` + exp + `}`, false},
		"no end":              {head, `{"sub":"` + id + `","aud":"moult-mqtt"}`, false},
		"an end in a hundred": {head, `{"sub":"` + id + `","aud":"moult-mqtt","exp":4950000000}`, false},
		"a claim twice":       {head, `{"sub":"x","sub":"` + id + `","aud":"moult-mqtt",` + exp + `}`, false},
		"one claim more":      {head, `{"sub":"` + id + `","aud":"moult-mqtt",` + exp + `,"admin":true}`, false},
		"spaces":              {head, `{"sub": "` + id + `","aud":"moult-mqtt",` + exp + `}`, false},
		"not JSON":            {head, `x`, false},
	} {
		enc := base64.RawURLEncoding
		text := enc.EncodeToString([]byte(tt.head)) + "." + enc.EncodeToString([]byte(tt.body))
		s := text + "." + enc.EncodeToString(ed25519.Sign(k, []byte(text)))
		if err := mqttlogin.Verify(s, k.Public(), id, now); (err == nil) != tt.ok {
			t.Errorf("%s: Verify() = %v, want ok %v", name, err, tt.ok)
		}
	}
}

func FuzzVerify(f *testing.F) {
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	good, err := mqttlogin.Sign(rand.Reader, k, id, now, time.Hour)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("a.b.c")
	f.Add(good)
	f.Fuzz(func(t *testing.T, s string) {
		if mqttlogin.Verify(s, k.Public(), id, now) == nil && s != good {
			t.Errorf("forged: %q", s)
		}
	})
}
