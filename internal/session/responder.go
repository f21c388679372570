package session

import (
	"crypto/ecdh"
	"fmt"

	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/wire/securemsg"
)

// A Responder is the server's end of all handshakes: its session keys, and
// what it asks of devices. It does not change, so every replica has the same.
type Responder struct {
	limits securemsg.Limits
	keys   map[securemsg.Kid]serverKey
	public []securemsg.ServerKey
}

type serverKey struct {
	suite  securemsg.Suite
	secret ecdh.KeyExchanger
}

// A ServerKey is a session key of the server. While keys change, a suite has
// two of them.
type ServerKey struct {
	Suite securemsg.Suite
	Key   ecdh.KeyExchanger
}

// NewResponder returns a Responder with these keys, the newest first.
func NewResponder(limits securemsg.Limits, keys ...ServerKey) (*Responder, error) {
	if len(keys) == 0 || len(keys) > securemsg.MaxKeys {
		return nil, fmt.Errorf("%d session keys, want 1 to %d: %w", len(keys), securemsg.MaxKeys, ErrKey)
	}
	r := &Responder{limits: limits, keys: map[securemsg.Kid]serverKey{}}
	for _, k := range keys {
		if err := checkKey(k.Suite, k.Key); err != nil {
			return nil, fmt.Errorf("session key of the server: %w", err)
		}
		public := securemsg.ServerKey{Suite: k.Suite, Public: k.Key.PublicKey().Bytes()}
		r.keys[public.Kid()] = serverKey{k.Suite, k.Key}
		r.public = append(r.public, public)
	}
	_, err := securemsg.AppendWelcome(nil, securemsg.Welcome{Limits: limits})
	return r, err
}

// Public returns the public keys as an enrolment answer names them.
func (r *Responder) Public() []securemsg.ServerKey { return r.public }

// Credential is an enrolment request in the words of the fleet, its token
// opened.
func (r *Responder) Credential(q securemsg.Request) (fleet.Credential, error) {
	c := q.Credential()
	kid, sealed := q.SealedTo()
	if !sealed {
		return c, nil
	}
	own, known := r.keys[kid]
	if !known {
		return fleet.Credential{}, fmt.Errorf("open token sealed to server key %x: %w", kid, ErrKey)
	}
	var err error
	if c.Token, err = q.OpenToken(own.secret); err != nil {
		return fleet.Credential{}, err
	}
	return c, nil
}

// Registered is what the server knows of an accepted device.
type Registered struct {
	ID    securemsg.DeviceID
	Suite securemsg.Suite
	Key   []byte // its public session key, as it enrolled
}
