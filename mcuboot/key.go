package mcuboot

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
)

// ErrKey is a key that MCUboot, or this package, has no use for.
var ErrKey = errors.New("want an ECDSA P-256, Ed25519, RSA-2048 or RSA-3072 key; X25519 for encryption only")

// A PublicKey verifies images, or encrypts for a device.
type PublicKey struct {
	key     any    // *ecdsa.PublicKey, ed25519.PublicKey, *rsa.PublicKey or *ecdh.PublicKey (X25519)
	encoded []byte // as a boot loader has it built in
}

// NewPublicKey takes a key of the standard library.
func NewPublicKey(key crypto.PublicKey) (PublicKey, error) {
	var der []byte
	var err error
	switch k := key.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n != 2048 && n != 3072 {
			return PublicKey{}, fmt.Errorf("RSA key of %d bits: %w", n, ErrKey)
		}
		return PublicKey{k, x509.MarshalPKCS1PublicKey(k)}, nil
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return PublicKey{}, ErrKey
		}
		der, err = x509.MarshalPKIXPublicKey(k)
	case ed25519.PublicKey:
		der, err = x509.MarshalPKIXPublicKey(k)
	case *ecdh.PublicKey:
		if k.Curve() != ecdh.X25519() {
			return PublicKey{}, ErrKey
		}
		der, err = x509.MarshalPKIXPublicKey(k)
	default:
		return PublicKey{}, ErrKey
	}
	return PublicKey{key, der}, err
}

// ParsePublicKey reads PEM: SubjectPublicKeyInfo, PKCS#1, or a private key, of
// which it takes the public half.
func ParsePublicKey(text []byte) (PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return PublicKey{}, fmt.Errorf("parse public key: no PEM: %w", ErrKey)
	}
	switch block.Type {
	case "PUBLIC KEY":
		k, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return PublicKey{}, fmt.Errorf("parse public key: %w", err)
		}
		return NewPublicKey(k)
	case "RSA PUBLIC KEY":
		k, err := x509.ParsePKCS1PublicKey(block.Bytes)
		if err != nil {
			return PublicKey{}, fmt.Errorf("parse public key: %w", err)
		}
		return NewPublicKey(k)
	}
	k, err := ParsePrivateKey(text)
	if err != nil {
		return PublicKey{}, err
	}
	return NewPublicKey(public(k))
}

// ParsePrivateKey reads PEM: PKCS#8, SEC1 or PKCS#1.
func ParsePrivateKey(text []byte) (crypto.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("parse private key: no PEM: %w", ErrKey)
	}
	var k any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		k, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		k, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		k, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		err = fmt.Errorf("PEM of type %q: %w", block.Type, ErrKey)
	}
	if err != nil {
		return nil, fmt.Errorf("parse private key: %w", err)
	}
	_, err = NewPublicKey(public(k))
	return k, err
}

func public(private crypto.PrivateKey) crypto.PublicKey {
	switch k := private.(type) {
	case crypto.Signer:
		return k.Public()
	case *ecdh.PrivateKey:
		return k.PublicKey()
	}
	return nil
}

// Encoded returns the bytes that a boot loader has built in: PKCS#1 for RSA,
// SubjectPublicKeyInfo for others.
func (k PublicKey) Encoded() []byte { return k.encoded }

// Hash is what a key hash TLV holds.
func (k PublicKey) Hash() []byte {
	sum := sha256.Sum256(k.encoded)
	return sum[:]
}

func (k PublicKey) String() string {
	switch key := k.key.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA-%d", key.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA P-256"
	case ed25519.PublicKey:
		return "Ed25519"
	case *ecdh.PublicKey:
		return "X25519"
	}
	return "no key"
}

// digest is a hash that an image may have, by its TLV.
type digest struct {
	typ Type
	new func() hash.Hash
}

var digests = []digest{{TypeSHA256, sha256.New}, {TypeSHA384, sha512.New384}, {TypeSHA512, sha512.New}}

func (d digest) sum(p []byte) []byte {
	h := d.new()
	h.Write(p)
	return h.Sum(nil)
}
