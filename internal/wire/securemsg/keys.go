package securemsg

import (
	"crypto/ecdh"
	"crypto/sha256"
	"fmt"
)

// Limits of the server's keys.
const (
	MaxKeys = 4   // two suites, two keys each
	maxKeys = 512 // bytes of the message
)

// A ServerKey is a public session key of the server.
type ServerKey struct {
	Suite  Suite  `cbor:"1,keyasint"`
	Public []byte `cbor:"2,keyasint"`
}

// Kid is the key's name. It is not on the wire, so that it cannot be wrong.
func (k ServerKey) Kid() Kid { return NewKid(k.Public) }

// Pin is the key's pin, for a device that was given the key itself.
func (k ServerKey) Pin() Pin { return sha256.Sum256(k.Public) }

// A Pin is the SHA-256 of a public session key of the server.
type Pin [32]byte

// Pinned returns those keys that have a pin.
func Pinned(keys []ServerKey, pins []Pin) []ServerKey {
	var kept []ServerKey
	for _, k := range keys {
		for _, p := range pins {
			if k.Pin() == p {
				kept = append(kept, k)
				break
			}
		}
	}
	return kept
}

// Keys tells a device the session keys of the server, while they change. It
// replaces what the device holds; the next handshake is with the first key of
// its suite. Inside a session it needs no pin.
type Keys struct {
	Number uint64      `cbor:"1,keyasint"`
	Keys   []ServerKey `cbor:"2,keyasint"` // newest first
}

// Append appends the message to dst.
func (k Keys) Append(dst []byte) ([]byte, error) { return encode(dst, k) }

func (Keys) kind() Kind     { return KindKeys }
func (Keys) limit() int     { return maxKeys }
func (k Keys) check() error { return first(checkNumber(k.Number), checkKeys(k.Keys)) }

func checkKeys(keys []ServerKey) error {
	if n := len(keys); n < 1 || n > MaxKeys {
		return fmt.Errorf("%d keys, want 1 to %d", n, MaxKeys)
	}
	for _, k := range keys {
		if err := checkPublic(k.Suite, k.Public); err != nil {
			return err
		}
	}
	return nil
}

// ParsePublic reads a public session key: on X25519, 32 bytes; on P-256, an
// uncompressed point on the curve.
func ParsePublic(s Suite, public []byte) (*ecdh.PublicKey, error) {
	var curve ecdh.Curve
	switch s {
	case X25519:
		curve = ecdh.X25519()
	case P256:
		curve = ecdh.P256()
	default:
		return nil, fmt.Errorf("%w: suite %d is not known", ErrMessage, s)
	}
	if len(public) != s.PublicSize() {
		return nil, fmt.Errorf("%w: session key of %d bytes, want %d", ErrMessage, len(public), s.PublicSize())
	}
	key, err := curve.NewPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("%w: session key: %w", ErrMessage, err)
	}
	return key, nil
}

// checkPublic refuses a key that ParsePublic refuses, and on X25519 one of low
// order, with which every secret would be the same.
func checkPublic(s Suite, public []byte) error {
	key, err := ParsePublic(s, public)
	if err != nil || s != X25519 {
		return err
	}
	fixed, err := ecdh.X25519().NewPrivateKey(make([]byte, 32))
	if err == nil {
		_, err = fixed.ECDH(key)
	}
	if err != nil {
		return fmt.Errorf("%w: session key: %w", ErrMessage, err)
	}
	return nil
}
