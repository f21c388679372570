package object

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// A Key is a content key. It encrypts one object, in one run, and never
// another; whoever has it reads the object.
type Key [32]byte

// String keeps the key out of logs.
func (Key) String() string { return "content key" }

// GoString is String, for %#v.
func (k Key) GoString() string { return k.String() }

// Check is what a Spec carries so that a wrong key is noticed before anything
// is asked for.
//
//	HMAC-SHA-256(content key, "moult kc" | nonce0)[:16]
func (k Key) Check(n Nonce) [16]byte {
	mac := hmac.New(sha256.New, k[:])
	mac.Write([]byte("moult kc"))
	mac.Write(n[:])
	return [16]byte(mac.Sum(nil))
}

// A Cipher encrypts and decrypts the chunks of one object. Its methods may be
// called from several goroutines.
type Cipher struct {
	aead   cipher.AEAD
	prefix [9 + 16]byte // of the associated data
	spec   Spec
}

// NewCipher returns the cipher of an object; of s it needs Nonce0, Chunk and
// Size, so that chunks can be encrypted before there is a root.
func NewCipher(k Key, s Spec) (*Cipher, error) {
	if err := s.Valid(); err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(k[:])
	if err != nil {
		return nil, err
	}
	c := &Cipher{spec: s}
	if c.aead, err = cipher.NewGCM(block); err != nil {
		return nil, err
	}
	copy(c.prefix[copy(c.prefix[:], "moult obj"):], s.Nonce0[:])
	return c, nil
}

// Seal appends the ciphertext of chunk i to dst. The same key must never seal
// two plaintexts as one chunk: an interrupted run throws its key away.
//
//	nonce = be96 i
//	aad   = "moult obj" | nonce0 | be32 i | be32 n
func (c *Cipher) Seal(dst []byte, i int, plain []byte) []byte {
	nonce, aad := c.inputs(i)
	return c.aead.Seal(dst, nonce[:], plain, aad[:])
}

// Open appends the plaintext of chunk i to dst.
func (c *Cipher) Open(dst []byte, i int, sealed []byte) ([]byte, error) {
	nonce, aad := c.inputs(i)
	plain, err := c.aead.Open(dst, nonce[:], sealed, aad[:])
	if err != nil {
		return dst, fmt.Errorf("decrypt chunk %d: %w", i, ErrRefused)
	}
	return plain, nil
}

func (c *Cipher) inputs(i int) (nonce [12]byte, aad [33]byte) {
	binary.BigEndian.PutUint32(nonce[8:], uint32(i))
	copy(aad[:], c.prefix[:])
	binary.BigEndian.PutUint32(aad[25:], uint32(i))
	binary.BigEndian.PutUint32(aad[29:], uint32(c.spec.Chunks()))
	return nonce, aad
}
