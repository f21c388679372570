package mcuboot

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
)

// Errors of Verify, for callers that branch.
var (
	ErrHash      = errors.New("image does not match its hash")
	ErrUnsigned  = errors.New("image is not signed")
	ErrSignature = errors.New("image is signed by none of the keys")
	ErrEncrypted = errors.New("image is encrypted: what it holds cannot be checked without the device's key")
	ErrNoKey     = errors.New("no key to verify the image with")
)

// Verify returns nil when the image has its hash and a signature by one of the
// keys. An encrypted image must be decrypted first: hash and signature are of
// the plain one.
func (im *Image) Verify(keys ...PublicKey) error {
	switch {
	case len(keys) == 0:
		return ErrNoKey
	case im.Header.Encrypted():
		return ErrEncrypted
	}
	sum, err := im.checkHash()
	if err != nil {
		return err
	}
	signed := false
	for i, t := range im.Unprotected {
		if t.Type != TypeECDSA && t.Type != TypeEd25519 && t.Type != TypeRSA2048 && t.Type != TypeRSA3072 {
			continue
		}
		signed = true
		if k, ok := chosen(im.Unprotected[:i], keys); ok && k.verify(t, im, sum) {
			return nil
		}
	}
	if !signed {
		return ErrUnsigned
	}
	return ErrSignature
}

// CheckHash returns nil when the image has its hash. That tells an accident
// from an image, and nothing about who made it.
func (im *Image) CheckHash() error {
	if im.Header.Encrypted() {
		return ErrEncrypted
	}
	_, err := im.checkHash()
	return err
}

func (im *Image) checkHash() ([]byte, error) {
	for _, d := range digests {
		v := find(im.Unprotected, d.typ)
		if len(v) == 0 {
			continue
		}
		sum := d.sum(im.signed)
		if len(v) > 1 || !bytes.Equal(v[0], sum) {
			return nil, ErrHash
		}
		return sum, nil
	}
	return nil, fmt.Errorf("%w: it has none", ErrHash)
}

// chosen is the key that the nearest key hash or public key before a signature
// names. As in MCUboot a hash may be cut short, but not to nothing.
func chosen(before []TLV, keys []PublicKey) (PublicKey, bool) {
	for i := len(before) - 1; i >= 0; i-- {
		t := before[i]
		for _, k := range keys {
			sum := k.Hash()
			if t.Type == TypeKeyHash && len(t.Value) >= 4 && len(t.Value) <= len(sum) && bytes.Equal(sum[:len(t.Value)], t.Value) {
				return k, true
			}
			if t.Type == TypeKeyHash && len(t.Value) == 64 && bytes.Equal(digests[2].sum(k.encoded), t.Value) {
				return k, true
			}
			if t.Type == TypePublicKey && bytes.Equal(k.encoded, t.Value) {
				return k, true
			}
		}
		if t.Type == TypeKeyHash || t.Type == TypePublicKey {
			return PublicKey{}, false
		}
	}
	return PublicKey{}, false
}

// saltSize is the only one of RSA-PSS that MCUboot takes, in bytes.
const saltSize = 32

func (k PublicKey) verify(t TLV, im *Image, sum []byte) bool {
	pure := len(find(im.Unprotected, TypePure)) > 0
	switch key := k.key.(type) {
	case *ecdsa.PublicKey:
		return t.Type == TypeECDSA && !pure && len(sum) == 32 && ecdsa.VerifyASN1(key, sum, t.Value)
	case ed25519.PublicKey:
		if pure {
			sum = im.signed
		}
		return t.Type == TypeEd25519 && ed25519.Verify(key, sum, t.Value)
	case *rsa.PublicKey:
		want := map[int]Type{2048: TypeRSA2048, 3072: TypeRSA3072}[key.N.BitLen()]
		return t.Type == want && !pure && len(sum) == 32 &&
			rsa.VerifyPSS(key, crypto.SHA256, sum, t.Value, &rsa.PSSOptions{SaltLength: saltSize}) == nil
	}
	return false
}
