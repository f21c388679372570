package securemsg

import (
	"crypto"
	"crypto/x509"
	"fmt"

	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
)

// Limits of enrolment.
const (
	MaxToken   = 512 // bytes
	signedMark = "moult enrol/1\x00"
)

// A Request asks to be let in. It travels in the clear, but for a token that
// is sealed: one in Token can be read by the broker, and used by it for a
// device of its own. What a request says is signed by the identity key.
type Request struct {
	Key      []byte          `cbor:"1,keyasint"` // identity key, SubjectPublicKeyInfo
	Counter  uint64          `cbor:"2,keyasint"` // higher in every request that says something new
	Nonce    Nonce           `cbor:"3,keyasint"` // comes back in the answer
	Suite    Suite           `cbor:"4,keyasint"`
	Session  []byte          `cbor:"5,keyasint"` // public session key of the suite
	Identity device.Identity `cbor:"6,keyasint"` // who this is; the same over every protocol
	Type     string          `cbor:"7,keyasint"` // device type
	Token    string          `cbor:"8,keyasint,omitempty"`
	Sealed   []byte          `cbor:"9,keyasint,omitempty"` // of SealToken; then Token is empty
	// Signature covers "moult enrol/1" 00 and the message without it, as of
	// kind 20.
	Signature []byte `cbor:"10,keyasint,omitempty"`
}

// Device is the id that belongs to the identity key.
func (r Request) Device() DeviceID { return NewDeviceID(r.Key) }

// Credential is the request in the words of the fleet, without a token that
// is sealed.
func (r Request) Credential() fleet.Credential {
	return fleet.Credential{Identity: r.Identity, Key: PEM(r.Key), Token: r.Token}
}

// SignRequest appends r to dst, signed by key. It sets Key and Signature.
func SignRequest(dst []byte, r Request, key crypto.Signer) ([]byte, error) {
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return dst, fmt.Errorf("sign enrolment request: %w: %w", ErrIdentityKey, err)
	}
	r.Key, r.Signature = spki, nil
	message, err := r.signed()
	if err != nil {
		return dst, err
	}
	if r.Signature, err = sign(key, message); err != nil {
		return dst, fmt.Errorf("sign enrolment request: %w", err)
	}
	return encode(dst, r)
}

// ParseRequest reads a request and verifies its signature, that is, that the
// sender holds the identity key and wants this session key.
func ParseRequest(src []byte) (Request, error) {
	r, err := decode[Request](src)
	if err != nil {
		return Request{}, err
	}
	public, err := ParseIdentityKey(r.Key)
	if err != nil {
		return Request{}, fmt.Errorf("parse enrolment request: %w", err)
	}
	message, err := r.signed()
	if err != nil {
		return Request{}, err
	}
	if !verify(public, message, r.Signature) {
		return Request{}, fmt.Errorf("parse enrolment request: %w", ErrSignature)
	}
	return r, nil
}

// unsigned is a Request without its signature, a kind of its own so that no
// signature is ever asked for over something that is a message.
type unsigned Request

func (unsigned) kind() Kind     { return KindUnsigned }
func (unsigned) limit() int     { return MaxEnrol }
func (u unsigned) check() error { return Request(u).checkFields() }

func (r Request) signed() ([]byte, error) {
	r.Signature = nil
	return encode([]byte(signedMark), unsigned(r))
}

func (Request) kind() Kind { return KindRequest }
func (Request) limit() int { return MaxEnrol }

func (r Request) check() error {
	if n := len(r.Signature); n < 1 || n > MaxSignature {
		return fmt.Errorf("signature of %d bytes, want 1 to %d", n, MaxSignature)
	}
	return r.checkFields()
}

func (r Request) checkFields() error {
	if len(r.Key) > MaxSPKI {
		return fmt.Errorf("identity key of %d bytes, at most %d", len(r.Key), MaxSPKI)
	}
	if err := checkPublic(r.Suite, r.Session); err != nil {
		return err
	}
	if n := len(r.Sealed); n > maxSealed || n > 0 && (n < minSealed || r.Token != "") {
		return fmt.Errorf("sealed token of %d bytes, want %d to %d and no other", n, minSealed, maxSealed)
	}
	if id, err := device.ParseIdentity(string(r.Identity)); err != nil || id != r.Identity {
		return fmt.Errorf("identity %.64q is not canonical JSON of strings", r.Identity)
	}
	return first(checkText("identity", string(r.Identity), 1, device.MaxIdentity),
		checkText("device type", r.Type, 1, device.MaxType), checkText("token", r.Token, 0, MaxToken))
}
