// Package securemsg holds the bytes of the sessions between devices and the
// deployment server: frames, what a handshake says, enrolment, and the
// messages inside a session, which are the calls of fleet.Core. It encrypts
// nothing and opens no socket. FORMAT.md is its reference.
//
// Every message has one encoding only: what would not be written again with
// the same bytes is refused, and so is every field that is not known.
package securemsg

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

var (
	// ErrFrame is returned for bytes that are no frame.
	ErrFrame = errors.New("bad frame")
	// ErrMessage is returned for bytes that are no message, and for values
	// that no message can carry.
	ErrMessage = errors.New("bad message")
	// ErrKind is returned for a message of a kind that is not known, or that
	// does not travel this way.
	ErrKind = errors.New("not a kind of message that travels this way")
	// ErrIdentityKey is returned for an identity key that is not trusted.
	ErrIdentityKey = errors.New("bad identity key")
	// ErrSignature is returned for a signature that does not hold.
	ErrSignature = errors.New("signature verification failed")
)

// A DeviceID is the first half of the SHA-256 of the device's identity key.
type DeviceID [16]byte

// NewDeviceID returns the id that belongs to an identity key, given as DER of
// its SubjectPublicKeyInfo.
func NewDeviceID(spki []byte) DeviceID {
	sum := sha256.Sum256(spki)
	return DeviceID(sum[:16])
}

// ParseDeviceID reads 32 lower-case hex digits, as they stand in topics.
func ParseDeviceID(s string) (id DeviceID, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) || hex.EncodeToString(b) != s {
		return id, fmt.Errorf("%w: device id %.40q is not 32 hex digits", ErrMessage, s)
	}
	return DeviceID(b), nil
}

// String is the id as it stands in topics.
func (id DeviceID) String() string { return hex.EncodeToString(id[:]) }

// A SessionID names a session; the device draws it at random.
type SessionID [8]byte

// A Kid names a session key of the server: the first bytes of the SHA-256 of
// the public key.
type Kid [8]byte

// NewKid returns the kid of a server's public session key.
func NewKid(public []byte) Kid {
	sum := sha256.Sum256(public)
	return Kid(sum[:8])
}

// A Nonce is drawn by the device, and comes back in the answer.
type Nonce [16]byte

// A Suite says which curve, cipher and hash a session uses.
type Suite uint8

// The suites. A device has one, named in its enrolment.
const (
	NoSuite Suite = 0 // in frames that belong to no suite
	X25519  Suite = 1 // Noise_KK_25519_AESGCM_SHA256
	P256    Suite = 2 // Noise_KK_P256_AESGCM_SHA256, for secure elements
)

// PublicSize is the length of a public key of the suite; 0 for no suite.
// Keys on P-256 are uncompressed points.
func (s Suite) PublicSize() int {
	switch s {
	case X25519:
		return 32
	case P256:
		return 65
	}
	return 0
}

const prologueMark = "moult/1\x00"

// AppendPrologue appends what both ends mix into a handshake before its first
// message, so that nothing of it can be exchanged:
//
//	"moult/1" 00 | suite | device id[16] | server kid[8] | session id[8]
func AppendPrologue(dst []byte, s Suite, d DeviceID, k Kid, id SessionID) []byte {
	dst = append(append(dst, prologueMark...), byte(s))
	dst = append(append(dst, d[:]...), k[:]...)
	return append(dst, id[:]...)
}
