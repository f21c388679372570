package mcuboot

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
)

// ErrRecipient is an image that is encrypted for another device.
var ErrRecipient = errors.New("image is not encrypted for this key")

const (
	eciesInfo = "MCUBoot_ECIES_v1"
	tagSize   = sha256.Size
)

// ctr encrypts or decrypts a payload in place: AES-CTR, the counter from 0. The
// key is used for this payload alone.
func ctr(key, p []byte) error {
	b, err := aes.NewCipher(key)
	if err != nil {
		return err
	}
	cipher.NewCTR(b, make([]byte, aes.BlockSize)).XORKeyStream(p, p)
	return nil
}

// encrypt encrypts a payload with a new key of n bytes, and returns that key
// for the recipient alone.
func encrypt(random io.Reader, to PublicKey, n int, payload []byte) (TLV, error) {
	key := make([]byte, n)
	if _, err := io.ReadFull(random, key); err != nil {
		return TLV{}, err
	}
	t, err := wrap(random, to, key)
	if err != nil {
		return TLV{}, err
	}
	return t, ctr(key, payload)
}

func wrap(random io.Reader, to PublicKey, key []byte) (TLV, error) {
	switch k := to.key.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() != 2048 {
			return TLV{}, fmt.Errorf("encryption with %v: want RSA-2048", to)
		}
		v, err := rsa.EncryptOAEP(sha256.New(), random, k, key, nil)
		return TLV{TypeEncRSA, v}, err
	case *ecdsa.PublicKey:
		p, err := k.ECDH()
		if err != nil {
			return TLV{}, err
		}
		v, err := ecies(random, p, key)
		return TLV{TypeEncP256, v}, err
	case *ecdh.PublicKey:
		v, err := ecies(random, k, key)
		return TLV{TypeEncX25519, v}, err
	}
	return TLV{}, fmt.Errorf("encryption with %v: want P-256, X25519 or RSA-2048", to)
}

// ecies is: ephemeral public key | tag | encrypted key.
func ecies(random io.Reader, to *ecdh.PublicKey, key []byte) ([]byte, error) {
	e, err := to.Curve().GenerateKey(random)
	if err != nil {
		return nil, err
	}
	z, err := e.ECDH(to)
	if err != nil {
		return nil, err
	}
	enc, mac, err := eciesKeys(z, len(key))
	if err != nil {
		return nil, err
	}
	sealed := bytes.Clone(key)
	if err := ctr(enc, sealed); err != nil {
		return nil, err
	}
	return append(append(e.PublicKey().Bytes(), tag(mac, sealed)...), sealed...), nil
}

func eciesKeys(z []byte, n int) (enc, mac []byte, err error) {
	okm, err := hkdf.Key(sha256.New, z, nil, eciesInfo, n+tagSize)
	if err != nil {
		return nil, nil, err
	}
	return okm[:n], okm[n:], nil
}

func tag(mac, sealed []byte) []byte {
	h := hmac.New(sha256.New, mac)
	h.Write(sealed)
	return h.Sum(nil)
}

// Decrypt returns the plain image that a device with the key would boot.
func (im *Image) Decrypt(key crypto.PrivateKey) (*Image, error) {
	if !im.Header.Encrypted() {
		return im, nil
	}
	content, err := im.unwrap(key)
	if err != nil {
		return nil, fmt.Errorf("decrypt image: %w", err)
	}
	plain := *im
	plain.signed = bytes.Clone(im.signed)
	plain.Payload = plain.signed[im.Header.Size : int(im.Header.Size)+len(im.Payload)]
	plain.Header.Flags &^= FlagAES128 | FlagAES256 // hash and signature have them set, in signed
	return &plain, ctr(content, plain.Payload)
}

func (im *Image) unwrap(key crypto.PrivateKey) ([]byte, error) {
	n := im.Header.contentKey()
	switch k := key.(type) {
	case *rsa.PrivateKey:
		for _, v := range find(im.Unprotected, TypeEncRSA) {
			if got, err := rsa.DecryptOAEP(sha256.New(), nil, k, v, nil); err == nil && len(got) == n {
				return got, nil
			}
		}
	case *ecdsa.PrivateKey:
		d, err := k.ECDH()
		if err != nil {
			return nil, err
		}
		return im.unwrapECIES(d, TypeEncP256, n)
	case *ecdh.PrivateKey:
		return im.unwrapECIES(k, TypeEncX25519, n)
	}
	return nil, ErrRecipient
}

func (im *Image) unwrapECIES(d *ecdh.PrivateKey, t Type, n int) ([]byte, error) {
	point := len(d.PublicKey().Bytes())
	for _, v := range find(im.Unprotected, t) {
		if len(v) != point+tagSize+n {
			continue
		}
		e, err := d.Curve().NewPublicKey(v[:point])
		if err != nil {
			continue
		}
		z, err := d.ECDH(e)
		if err != nil {
			continue
		}
		enc, mac, err := eciesKeys(z, n)
		if err != nil {
			return nil, err
		}
		sealed := bytes.Clone(v[point+tagSize:])
		if hmac.Equal(tag(mac, sealed), v[point:point+tagSize]) {
			return sealed, ctr(enc, sealed)
		}
	}
	return nil, ErrRecipient
}
