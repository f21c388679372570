package artifact

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"fmt"
	"math/big"
)

// A Signer makes the raw signature over a manifest: PKCS#1 v1.5 for RSA, the
// 64 bytes r‖s for ECDSA. An HSM may be one; DER is read too.
type Signer interface {
	Sign(manifest []byte) ([]byte, error)
}

// A Verifier returns nil only if sig is its key's signature over manifest.
type Verifier interface {
	Verify(manifest, sig []byte) error
}

const (
	minRSABits = 2048
	coordinate = 32 // bytes of r and of s on P-256
)

// NewVerifier returns a Verifier for a public key that was read elsewhere: an
// *rsa.PublicKey of 2048 bits or more, or an *ecdsa.PublicKey on P-256. Errors
// satisfy ErrKey.
func NewVerifier(key crypto.PublicKey) (Verifier, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	switch key := key.(type) {
	case *rsa.PublicKey:
		return rsaVerifier{key}, nil
	case *ecdsa.PublicKey:
		return ecdsaVerifier{key}, nil
	}
	return nil, fmt.Errorf("%w: %T is not a public key", ErrKey, key)
}

func checkKey(key any) error {
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return checkRSA(&key.PublicKey)
	case *rsa.PublicKey:
		return checkRSA(key)
	case *ecdsa.PrivateKey:
		return checkECDSA(&key.PublicKey)
	case *ecdsa.PublicKey:
		return checkECDSA(key)
	}
	return fmt.Errorf("%w: %T, the format knows RSA and ECDSA P-256", ErrKey, key)
}

func checkRSA(key *rsa.PublicKey) error {
	if bits := key.N.BitLen(); bits < minRSABits {
		return fmt.Errorf("%w: RSA of %d bits, want %d or more", ErrKey, bits, minRSABits)
	}
	return nil
}

func checkECDSA(key *ecdsa.PublicKey) error {
	if key.Curve != elliptic.P256() {
		return fmt.Errorf("%w: ECDSA on %s, the format knows P-256 only", ErrKey, key.Curve.Params().Name)
	}
	return nil
}

type rsaSigner struct{ key *rsa.PrivateKey }

func (s rsaSigner) Sign(manifest []byte) ([]byte, error) {
	sum := sha256.Sum256(manifest)
	return rsa.SignPKCS1v15(nil, s.key, crypto.SHA256, sum[:])
}

type rsaVerifier struct{ key *rsa.PublicKey }

func (v rsaVerifier) Verify(manifest, sig []byte) error {
	sum := sha256.Sum256(manifest)
	if rsa.VerifyPKCS1v15(v.key, crypto.SHA256, sum[:], sig) != nil {
		return ErrSignature
	}
	return nil
}

type ecdsaSigner struct{ key *ecdsa.PrivateKey }

// Sign makes r‖s with the nonce of RFC 6979.
func (s ecdsaSigner) Sign(manifest []byte) ([]byte, error) {
	sum := sha256.Sum256(manifest)
	der, err := s.key.Sign(nil, sum[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	return rawFromDER(der)
}

type ecdsaVerifier struct{ key *ecdsa.PublicKey }

func (v ecdsaVerifier) Verify(manifest, sig []byte) error {
	sum := sha256.Sum256(manifest)
	if len(sig) == 2*coordinate {
		r, s := new(big.Int).SetBytes(sig[:coordinate]), new(big.Int).SetBytes(sig[coordinate:])
		if ecdsa.Verify(v.key, sum[:], r, s) {
			return nil
		}
	}
	if !ecdsa.VerifyASN1(v.key, sum[:], sig) {
		return ErrSignature
	}
	return nil
}

func rawFromDER(der []byte) ([]byte, error) {
	var point struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &point); err != nil {
		return nil, err
	}
	raw := make([]byte, 2*coordinate)
	point.R.FillBytes(raw[:coordinate])
	point.S.FillBytes(raw[coordinate:])
	return raw, nil
}
