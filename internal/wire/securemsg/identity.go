package securemsg

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
)

// Limits of identity keys; bytes unless said otherwise. Curves are P-256,
// P-384 and Ed25519.
const (
	MaxSPKI      = 2 << 10
	MaxSignature = 1 << 10 // RSA-8192
	MinRSA       = 2048    // bits
	MaxRSA       = 8192    // bits
)

// ParseIdentityKey reads the DER of a SubjectPublicKeyInfo. Only one encoding
// of a key is taken, because a device id is the hash of it.
func ParseIdentityKey(spki []byte) (crypto.PublicKey, error) {
	if len(spki) > MaxSPKI {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrIdentityKey, len(spki), MaxSPKI)
	}
	public, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrIdentityKey, err)
	}
	if err := checkIdentityKey(public); err != nil {
		return nil, err
	}
	if again, err := x509.MarshalPKIXPublicKey(public); err != nil || !bytes.Equal(again, spki) {
		return nil, fmt.Errorf("%w: not the one encoding of it", ErrIdentityKey)
	}
	return public, nil
}

func checkIdentityKey(public crypto.PublicKey) error {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < MinRSA || n > MaxRSA {
			return fmt.Errorf("%w: RSA with %d bits, want %d to %d", ErrIdentityKey, n, MinRSA, MaxRSA)
		}
		return nil
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() && k.Curve != elliptic.P384() {
			return fmt.Errorf("%w: curve %s, want P-256 or P-384", ErrIdentityKey, k.Curve.Params().Name)
		}
		return nil
	case ed25519.PublicKey:
		return nil
	}
	return fmt.Errorf("%w: %T, want ECDSA, Ed25519 or RSA", ErrIdentityKey, public)
}

// PEM is an identity key as the fleet compares it.
func PEM(spki []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}))
}

// verify checks a signature: ECDSA (ASN.1) and RSA PKCS #1 v1.5 over the
// message's SHA-256, Ed25519 over itself.
func verify(public crypto.PublicKey, message, signature []byte) bool {
	sum := sha256.Sum256(message)
	switch k := public.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(k, crypto.SHA256, sum[:], signature) == nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(k, sum[:], signature)
	case ed25519.PublicKey:
		return ed25519.Verify(k, message, signature)
	}
	return false
}

// sign makes what verify checks. A signer inside a secure element may draw
// its own randomness; crypto.SignMessage gives it the digest or the message.
func sign(key crypto.Signer, message []byte) ([]byte, error) {
	if err := checkIdentityKey(key.Public()); err != nil {
		return nil, err
	}
	hash := crypto.SHA256
	if _, ok := key.Public().(ed25519.PublicKey); ok {
		hash = 0
	}
	return crypto.SignMessage(key, nil, message, hash)
}
