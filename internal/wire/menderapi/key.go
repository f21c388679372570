package menderapi

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/moult-ota/moult/internal/device"
)

// Limits of device keys. Curves are P-256, P-384 and Ed25519.
const (
	MinRSA       = 2048 // bits
	MaxRSA       = 8192 // bits
	maxSignature = 2048 // characters of base64; RSA-8192 has 1368
)

var (
	ErrKey       = errors.New("bad device key")
	ErrSignature = errors.New("signature verification failed")
)

// A Key is a device's public key, of a kind and size that Verify trusts.
type Key struct {
	public crypto.PublicKey
	pem    string
}

// NewKey checks a public key's kind and size.
func NewKey(public crypto.PublicKey) (Key, error) {
	if err := checkKey(public); err != nil {
		return Key{}, err
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return Key{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	return Key{public, string(text)}, nil
}

// ParseKey reads one PEM block "PUBLIC KEY" (RFC 7468 §13).
func ParseKey(src string) (Key, error) {
	if len(src) > device.MaxKey {
		return Key{}, fmt.Errorf("%w: %d bytes, at most %d", ErrKey, len(src), device.MaxKey)
	}
	block, rest := pem.Decode([]byte(src))
	if block == nil || block.Type != "PUBLIC KEY" || strings.TrimSpace(string(rest)) != "" {
		return Key{}, fmt.Errorf("%w: want exactly one PEM block PUBLIC KEY", ErrKey)
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return Key{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return NewKey(public)
}

// PEM is the key in the one form that the fleet compares.
func (k Key) PEM() string { return k.pem }

func checkKey(public crypto.PublicKey) error {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < MinRSA || n > MaxRSA {
			return fmt.Errorf("%w: RSA with %d bits, want %d to %d", ErrKey, n, MinRSA, MaxRSA)
		}
		return nil
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() && k.Curve != elliptic.P384() {
			return fmt.Errorf("%w: curve %s, want P-256 or P-384", ErrKey, k.Curve.Params().Name)
		}
		return nil
	case ed25519.PublicKey:
		return nil
	}
	return fmt.Errorf("%w: %T, want RSA, ECDSA or Ed25519", ErrKey, public)
}

// Verify checks a SignatureHeader over the exact bytes of a body:
// RSA PKCS #1 v1.5 and ECDSA (ASN.1) over its SHA-256, Ed25519 over itself.
func (k Key) Verify(body []byte, signature string) error {
	if len(signature) > maxSignature {
		return fmt.Errorf("%w: %d characters, at most %d", ErrSignature, len(signature), maxSignature)
	}
	sig, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	if !k.verify(body, sig) {
		return ErrSignature
	}
	return nil
}

func (k Key) verify(body, sig []byte) bool {
	sum := sha256.Sum256(body)
	switch p := k.public.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(p, crypto.SHA256, sum[:], sig) == nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(p, sum[:], sig)
	case ed25519.PublicKey:
		return ed25519.Verify(p, body, sig)
	}
	return false
}

// Sign returns the SignatureHeader for a body.
func Sign(key crypto.Signer, body []byte) (string, error) {
	if err := checkKey(key.Public()); err != nil {
		return "", err
	}
	sum := sha256.Sum256(body)
	message, hash := sum[:], crypto.SHA256
	if _, ok := key.Public().(ed25519.PublicKey); ok {
		message, hash = body, 0
	}
	sig, err := key.Sign(rand.Reader, message, hash)
	if err != nil {
		return "", fmt.Errorf("sign auth request: %w", err)
	}
	return base64.StdEncoding.EncodeToString(sig), nil
}
