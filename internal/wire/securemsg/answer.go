package securemsg

import (
	"crypto/ecdh"
	"crypto/sha256"
	"fmt"
)

// Limits of an answer.
const (
	MaxKeys   = 4   // of a server: two suites, two keys each
	maxAnswer = 512 // bytes
)

// Standing is the answer to a request.
type Standing uint8

// The standings.
const (
	StandingPending  Standing = 1 // ask again later
	StandingAccepted Standing = 2
	StandingRejected Standing = 3
)

// An Answer to an enrolment request. Nothing authenticates it, the broker can
// change it: a device that has pins keeps to them (see Pinned), another one
// trusts the keys of the first answer that accepts it, and no later ones.
type Answer struct {
	Nonce    Nonce       `cbor:"1,keyasint"` // of the request
	Standing Standing    `cbor:"2,keyasint"`
	Keys     []ServerKey `cbor:"3,keyasint,omitempty"` // newest first; only with StandingAccepted
	Wait     uint32      `cbor:"4,keyasint,omitempty"` // seconds before the next request; only with StandingPending
}

// A ServerKey is a public session key of the server.
type ServerKey struct {
	Suite  Suite  `cbor:"1,keyasint"`
	Public []byte `cbor:"2,keyasint"`
}

// Kid is the key's name. It is not on the wire, so that it cannot be wrong.
func (k ServerKey) Kid() Kid { return NewKid(k.Public) }

// A Pin is the SHA-256 of a public session key of the server.
type Pin [32]byte

// Pinned returns those keys that have a pin.
func Pinned(keys []ServerKey, pins []Pin) []ServerKey {
	var kept []ServerKey
	for _, k := range keys {
		for _, p := range pins {
			if sha256.Sum256(k.Public) == p {
				kept = append(kept, k)
				break
			}
		}
	}
	return kept
}

// AppendAnswer appends a to dst.
func AppendAnswer(dst []byte, a Answer) ([]byte, error) { return encode(dst, a) }

// ParseAnswer reads what AppendAnswer wrote.
func ParseAnswer(src []byte) (Answer, error) { return decode[Answer](src) }

func (Answer) kind() Kind { return KindAnswer }
func (Answer) limit() int { return maxAnswer }

func (a Answer) check() error {
	switch n := len(a.Keys); {
	case a.Standing < StandingPending || a.Standing > StandingRejected:
		return fmt.Errorf("standing %d is not known", a.Standing)
	case a.Standing == StandingAccepted && (n < 1 || n > MaxKeys):
		return fmt.Errorf("%d keys, want 1 to %d", n, MaxKeys)
	case a.Standing != StandingAccepted && n > 0:
		return fmt.Errorf("%d keys for a device that is not accepted", n)
	case a.Wait > MaxWait || a.Wait > 0 && a.Standing != StandingPending:
		return fmt.Errorf("wait of %d s with standing %d", a.Wait, a.Standing)
	}
	for _, k := range a.Keys {
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
