package mender

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/device"
)

var testTokens = tokens{newSeal(testSecret, "device token"), time.Hour}

func TestToken(t *testing.T) {
	now := (&clock{}).now()
	token := testTokens.issue("device-1", now)
	if id, err := testTokens.check(token, now.Add(time.Hour-time.Second)); id != "device-1" || err != nil {
		t.Errorf("check = %q, %v, want device-1", id, err)
	}
	js, _ := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	var c map[string]any
	if err := json.Unmarshal(js, &c); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"sub": "device-1", "mender.device": true, "mender.plan": "enterprise", "exp": float64(now.Unix() + 3600), "iat": float64(now.Unix())}
	for name, v := range want {
		if c[name] != v {
			t.Errorf("claim %s = %v, want %v", name, c[name], v)
		}
	}
}

// Ids that JSON escapes, and claims in another order, are read all the same.
func TestTokenSpelling(t *testing.T) {
	now := (&clock{}).now()
	for _, id := range []device.ID{"01a205af-9677-74b4-a949-934569a3db13", `a"b\c`, "<&>", `","exp":99,`, "ä\n", "{"} {
		if got, err := testTokens.check(testTokens.issue(id, now), now); got != id || err != nil {
			t.Errorf("check = %q, %v, want %q", got, err, id)
		}
	}
	text := tokenHead + base64.RawURLEncoding.EncodeToString([]byte(`{"jti":"x", "exp":99999999999, "sub":"device-1"}`))
	token := string(testTokens.seal.append([]byte(text+"."), text))
	if got, err := testTokens.check(token, now); got != "device-1" || err != nil {
		t.Errorf("check of another order = %q, %v, want device-1", got, err)
	}
}

func TestForgedTokens(t *testing.T) {
	now := (&clock{}).now()
	token := testTokens.issue("device-1", now)
	part := strings.Split(token, ".")
	b64 := base64.RawURLEncoding.EncodeToString
	admin := b64([]byte(`{"sub":"device-2","exp":99999999999}`))
	none := b64([]byte(`{"alg":"none","typ":"JWT"}`))
	other := tokens{newSeal([]byte("another secret of thirty-two byte"), "device token"), time.Hour}
	links := tokens{newSeal(testSecret, "artifact link"), time.Hour}
	last := map[bool]string{true: "B", false: "A"}[strings.HasSuffix(token, "A")]
	sealed := b64([]byte(`{"alg":"HS512","typ":"JWT"}`)) + "." + part[1]
	tests := map[string]string{
		"other alg, sealed":  string(testTokens.seal.append([]byte(sealed+"."), sealed)),
		"empty":              "",
		"dots":               "..",
		"alg none":           none + "." + part[1] + ".",
		"alg none, signed":   none + "." + part[1] + "." + part[2],
		"other claims":       part[0] + "." + admin + "." + part[2],
		"no signature":       part[0] + "." + part[1] + ".",
		"no second dot":      part[0] + "." + part[1],
		"short signature":    token[:len(token)-1],
		"changed signature":  token[:len(token)-1] + last,
		"padded signature":   token + "=",
		"two signatures":     token + "." + part[2],
		"another secret":     other.issue("device-1", now),
		"the key of links":   links.issue("device-1", now),
		"no device":          testTokens.issue("", now),
		"expired":            testTokens.issue("device-1", now.Add(-time.Hour)),
		"longer than tokens": testTokens.issue("device-1", now) + strings.Repeat("A", maxToken),
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if id, err := testTokens.check(tt, now); !errors.Is(err, errToken) {
				t.Errorf("check(%s) = %q, %v, want %v", tt, id, err, errToken)
			}
		})
	}
}

func TestBearer(t *testing.T) {
	tests := map[string]string{"Bearer x": "x", "bearer  x ": "x", "Basic x": "", "Bearer": "", "": "", "x": ""}
	for in, want := range tests {
		if got := bearer(http.Header{"Authorization": {in}}); got != want {
			t.Errorf("bearer(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzToken(f *testing.F) {
	now := (&clock{}).now()
	good := testTokens.issue("device-1", now)
	f.Add(good)
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		if id, err := testTokens.check(token, now); err == nil && token != good && id != "device-1" {
			t.Errorf("check(%q) = %q", token, id)
		}
	})
}
