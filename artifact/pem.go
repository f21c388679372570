//go:build !moult_sbl

package artifact

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
)

// A program built with the tag moult_sbl reads no PEM here: crypto/x509 is
// more than a boot loader has room for. See NewVerifier.

// ParsePrivateKey reads the first private key in PEM: RSA of 2048 bits or
// more, or ECDSA P-256, as PKCS#1, SEC1 or PKCS#8. Its signatures are
// deterministic. Errors satisfy ErrKey.
func ParsePrivateKey(text []byte) (Signer, error) {
	key, err := parsePEM(text)
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return rsaSigner{key}, nil
	case *ecdsa.PrivateKey:
		return ecdsaSigner{key}, nil
	case nil:
		return nil, fmt.Errorf("read private key: %w", err)
	default:
		return nil, fmt.Errorf("read private key: %w: it is a public key", ErrKey)
	}
}

// ParsePublicKey reads the first key in PEM: SPKI or PKCS#1, RSA or ECDSA
// P-256. Of a private key it takes the public half. Errors satisfy ErrKey.
func ParsePublicKey(text []byte) (Verifier, error) {
	key, err := parsePEM(text)
	if err != nil {
		return nil, fmt.Errorf("read public key: %w", err)
	}
	if private, ok := key.(interface{ Public() crypto.PublicKey }); ok {
		key = private.Public()
	}
	return NewVerifier(key)
}

// parsePEM returns the first key among the blocks, skipping EC PARAMETERS.
func parsePEM(text []byte) (any, error) {
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			return nil, fmt.Errorf("%w: no PEM block with a key", ErrKey)
		}
		if block.Type != "EC PARAMETERS" {
			return parseBlock(block)
		}
		text = rest
	}
}

func parseBlock(block *pem.Block) (key any, err error) {
	switch block.Type {
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	default:
		return nil, fmt.Errorf("%w: PEM block is %s", ErrKey, block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	if err := checkKey(key); err != nil {
		return nil, err
	}
	return key, nil
}
