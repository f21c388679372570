package mender

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/moult-ota/moult/internal/device"
)

// maxToken bounds a token that is looked at, in bytes.
const maxToken = 2 << 10

// Tokens are JWTs (RFC 7519) with one header only: another algorithm is
// another text, and no token of ours.
var tokenHead = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "."

// claims are those of Mender's device tokens; add-ons on a device look at them.
type claims struct {
	Device  device.ID `json:"sub"` // these two come first, where readClaims looks
	Expires int64     `json:"exp"` // Unix seconds
	Issued  int64     `json:"iat"`
	ID      string    `json:"jti"`
	Issuer  string    `json:"iss"`
	IsOne   bool      `json:"mender.device"`
	Tenant  string    `json:"mender.tenant"`
	Plan    string    `json:"mender.plan"`
	Trial   bool      `json:"mender.trial"`
}

// tokens issues and checks what an accepted device shows.
type tokens struct {
	seal *seal
	ttl  time.Duration
}

func (t tokens) issue(id device.ID, now time.Time) string {
	js, err := json.Marshal(claims{
		ID: rand.Text(), Device: id, Issuer: "Moult", IsOne: true, Plan: "enterprise",
		Issued: now.Unix(), Expires: now.Add(t.ttl).Unix(),
	})
	if err != nil {
		panic("mender: write claims: " + err.Error()) // text, numbers and truths only
	}
	text := tokenHead + base64.RawURLEncoding.EncodeToString(js)
	return string(t.seal.append([]byte(text+"."), text))
}

// check returns the device that a token was issued for.
func (t tokens) check(token string, now time.Time) (device.ID, error) {
	dot := strings.LastIndexByte(token, '.')
	if len(token) > maxToken || dot < len(tokenHead) || !strings.HasPrefix(token, tokenHead) {
		return "", errToken
	}
	if !t.seal.check(token[:dot], token[dot+1:]) {
		return "", errToken
	}
	js, err := base64.RawURLEncoding.DecodeString(token[len(tokenHead):dot])
	if err != nil {
		return "", errToken
	}
	c, ok := readClaims(js)
	if !ok || c.Device == "" || now.Unix() >= c.Expires {
		return "", errToken
	}
	return c.Device, nil
}

// readClaims reads who and until when. It is asked with every request and
// only about claims under our own seal, so it first takes them as issue
// spells them.
func readClaims(js []byte) (c claims, ok bool) {
	id, rest, ok := bytes.Cut(bytes.TrimPrefix(js, []byte(`{"sub":"`)), []byte(`","exp":`))
	digits, _, more := bytes.Cut(rest, []byte(","))
	expires, err := strconv.ParseInt(string(digits), 10, 64)
	if !ok || !more || err != nil || bytes.ContainsAny(id, "\"\\{") {
		return c, json.Unmarshal(js, &c) == nil
	}
	return claims{Device: device.ID(id), Expires: expires}, true
}

// bearer is the token of a request, or empty.
func bearer(h http.Header) string {
	scheme, token, _ := strings.Cut(h.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}
