// Package mqttlogin is the password with which a device logs in to a broker: a
// JSON Web Token (RFC 7519) that its identity key signed. Of all that such a
// token may be, it takes one form only: three claims in one order, the
// algorithm that the key is for, and a short life.
//
//	{"alg":"ES256","typ":"JWT"} . {"sub":ID,"aud":"moult-mqtt","exp":SECONDS} . signature
package mqttlogin

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
	"time"
)

// MaxLife is how long a token may be good at most, and Skew by how much the
// clocks of two parties may differ.
const (
	MaxLife = time.Hour
	Skew    = 5 * time.Minute
)

const (
	audience = "moult-mqtt"
	maxToken = 2 << 10 // bytes
)

// Errors for callers that branch.
var (
	ErrMalformed = errors.New("malformed login token")
	ErrSignature = errors.New("login token is signed by another key")
	ErrExpired   = errors.New("login token has expired")
	ErrSubject   = errors.New("login token is for another device")
	ErrKey       = errors.New("key is no ECDSA P-256, Ed25519 or RSA key")
)

// claims in the order in which they stand.
type claims struct {
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	Expires  int64  `json:"exp"` // seconds since 1970
}

var encoding = base64.RawURLEncoding.Strict()

// Sign makes the token of device id, good for life from now on.
func Sign(random io.Reader, key crypto.Signer, id string, now time.Time, life time.Duration) (string, error) {
	alg, err := algorithm(key.Public())
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(claims{id, audience, now.Add(min(life, MaxLife)).Unix()})
	if err != nil {
		return "", err
	}
	text := encoding.EncodeToString(header(alg)) + "." + encoding.EncodeToString(body)
	sig, err := sign(random, key, []byte(text))
	if err != nil {
		return "", fmt.Errorf("sign login token: %w", err)
	}
	return text + "." + encoding.EncodeToString(sig), nil
}

// Verify returns nil when token is device id's, signed by the private half of
// key, and good now.
func Verify(token string, key crypto.PublicKey, id string, now time.Time) error {
	alg, err := algorithm(key)
	if err != nil {
		return err
	}
	c, text, sig, err := parse(token, alg)
	switch {
	case err != nil:
		return err
	case !verify(key, []byte(text), sig):
		return ErrSignature
	case c.Subject != id:
		return ErrSubject
	case c.Audience != audience:
		return fmt.Errorf("%w: audience %q", ErrMalformed, c.Audience)
	}
	expires := time.Unix(c.Expires, 0)
	switch {
	case now.After(expires.Add(Skew)):
		return ErrExpired
	case expires.After(now.Add(MaxLife + Skew)):
		return fmt.Errorf("%w: it is good for more than an hour", ErrMalformed)
	}
	return nil
}

func header(alg string) []byte { return []byte(`{"alg":"` + alg + `","typ":"JWT"}`) }

// parse takes a token apart. What would not be written byte for byte like that
// is refused.
func parse(token, alg string) (c claims, text string, sig []byte, err error) {
	parts := strings.Split(token, ".")
	if len(token) > maxToken || len(parts) != 3 {
		return c, "", nil, ErrMalformed
	}
	var raw [3][]byte
	for i, p := range parts {
		if raw[i], err = encoding.DecodeString(p); err != nil {
			return c, "", nil, ErrMalformed
		}
	}
	if !bytes.Equal(raw[0], header(alg)) {
		return c, "", nil, fmt.Errorf("%w: header is not %s", ErrMalformed, header(alg))
	}
	if json.Unmarshal(raw[1], &c) != nil {
		return c, "", nil, ErrMalformed
	}
	if again, err := json.Marshal(c); err != nil || !bytes.Equal(again, raw[1]) {
		return c, "", nil, ErrMalformed
	}
	return c, parts[0] + "." + parts[1], raw[2], nil
}

// algorithm is what a key is for, and the only one that it is taken for.
func algorithm(key crypto.PublicKey) (string, error) {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() {
			return "ES256", nil
		}
	case ed25519.PublicKey:
		return "EdDSA", nil
	case *rsa.PublicKey:
		return "RS256", nil
	}
	return "", ErrKey
}

// field is the length of one number of a P-256 signature, in bytes
// (RFC 7518 §3.4).
const field = 32

func sign(random io.Reader, key crypto.Signer, text []byte) ([]byte, error) {
	if _, ok := key.Public().(ed25519.PublicKey); ok {
		return key.Sign(random, text, crypto.Hash(0))
	}
	sum := sha256.Sum256(text)
	sig, err := key.Sign(random, sum[:], crypto.SHA256)
	if _, ok := key.Public().(*ecdsa.PublicKey); !ok || err != nil {
		return sig, err
	}
	return fromDER(sig)
}

func verify(key crypto.PublicKey, text, sig []byte) bool {
	sum := sha256.Sum256(text)
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		return len(sig) == 2*field && ecdsa.Verify(k, sum[:], new(big.Int).SetBytes(sig[:field]), new(big.Int).SetBytes(sig[field:]))
	case ed25519.PublicKey:
		return ed25519.Verify(k, text, sig)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(k, crypto.SHA256, sum[:], sig) == nil
	}
	return false
}
