package sbl

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/atomicfile"
)

// maxKey bounds a key's file, in bytes.
const maxKey = 64 << 10

// This file reads public keys, as crypto/x509 does too: with all its curves
// and private keys that package takes 0.26 of the 4 MB that the loader may have.

var (
	oidRSA   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidECDSA = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	oidP256  = asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}
)

var errKey = errors.New("want an RSA or ECDSA P-256 public key in PEM")

// readKey reads the public key in a PEM file. A private key has no place in a
// loader and is refused.
func readKey(path string) (artifact.Verifier, error) {
	text, err := atomicfile.Read(path, maxKey)
	if err != nil {
		return nil, err
	}
	key, err := parseKey(text)
	if err == nil {
		var v artifact.Verifier
		if v, err = artifact.NewVerifier(key); err == nil {
			return v, nil
		}
	}
	return nil, fmt.Errorf("read %s: %w", path, err)
}

func parseKey(text []byte) (crypto.PublicKey, error) {
	block, _ := pem.Decode(text)
	switch {
	case block == nil:
		return nil, errKey
	case block.Type == "PUBLIC KEY":
		return parseSPKI(block.Bytes)
	case block.Type == "RSA PUBLIC KEY":
		return parsePKCS1(block.Bytes)
	}
	return nil, fmt.Errorf("%w, this is a %.40q", errKey, block.Type)
}

// parseSPKI reads a SubjectPublicKeyInfo (RFC 5280 §4.1, RFC 5480, RFC 3279).
func parseSPKI(der []byte) (crypto.PublicKey, error) {
	var info struct {
		Algorithm struct {
			ID         asn1.ObjectIdentifier
			Parameters asn1.RawValue `asn1:"optional"`
		}
		Key asn1.BitString
	}
	if err := unmarshal(der, &info); err != nil {
		return nil, err
	}
	key := info.Key.Bytes
	switch {
	case info.Key.BitLength != 8*len(key):
		return nil, errKey
	case info.Algorithm.ID.Equal(oidRSA) && bytes.Equal(info.Algorithm.Parameters.FullBytes, asn1.NullBytes):
		return parsePKCS1(key)
	case !info.Algorithm.ID.Equal(oidECDSA):
		return nil, errKey
	}
	var curve asn1.ObjectIdentifier
	if err := unmarshal(info.Algorithm.Parameters.FullBytes, &curve); err != nil || !curve.Equal(oidP256) {
		return nil, errKey
	}
	return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), key)
}

// parsePKCS1 reads an RSAPublicKey (RFC 8017 §A.1.1).
func parsePKCS1(der []byte) (crypto.PublicKey, error) {
	var key struct {
		N *big.Int
		E int
	}
	if err := unmarshal(der, &key); err != nil {
		return nil, err
	}
	if key.N.Sign() <= 0 || key.E <= 1 {
		return nil, errKey
	}
	return &rsa.PublicKey{N: key.N, E: key.E}, nil
}

// unmarshal wants nothing to follow.
func unmarshal(der []byte, into any) error {
	rest, err := asn1.Unmarshal(der, into)
	if err == nil && len(rest) > 0 {
		err = errors.New("more follows")
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errKey, err)
	}
	return nil
}
