package securemsg

import (
	"crypto/ecdh"
	"crypto/hpke"
	"fmt"
)

const (
	minSealed = kidSize + 32 + 1 + Tag // kid, point, token, tag
	maxSealed = kidSize + 65 + MaxToken + Tag
	tokenMark = "moult token/1\x00"
)

// SealToken seals an enrolment token so that only the server can read it, and
// only in a request of this device with this nonce:
//
//	kid[8] | HPKE base mode (RFC 9180) of the token, with HKDF-SHA256 and AES-256-GCM
//	info = "moult token/1" 00 | device id[16] | kid[8] | nonce[16]
//
// The key must be one that the device was given, not one of an answer.
func SealToken(server ServerKey, d DeviceID, n Nonce, token string) ([]byte, error) {
	if err := checkText("token", token, 1, MaxToken); err != nil {
		return nil, fmt.Errorf("seal token: %w: %w", ErrMessage, err)
	}
	public, err := ParsePublic(server.Suite, server.Public)
	if err != nil {
		return nil, fmt.Errorf("seal token: %w", err)
	}
	key, err := hpke.NewDHKEMPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("seal token: %w", err)
	}
	kid := server.Kid()
	sealed, err := hpke.Seal(key, hpke.HKDFSHA256(), hpke.AES256GCM(), tokenInfo(d, kid, n), []byte(token))
	if err != nil {
		return nil, fmt.Errorf("seal token: %w", err)
	}
	return append(kid[:], sealed...), nil
}

// SealedTo is the kid of the server's key that opens the token; false if the
// request has no sealed token.
func (r Request) SealedTo() (Kid, bool) {
	if len(r.Sealed) < minSealed {
		return Kid{}, false
	}
	return Kid(r.Sealed[:kidSize]), true
}

// OpenToken returns the token that was sealed to the public half of key.
func (r Request) OpenToken(key ecdh.KeyExchanger) (string, error) {
	kid, sealed := r.SealedTo()
	if !sealed {
		return "", fmt.Errorf("open token: %w: there is none", ErrMessage)
	}
	private, err := hpke.NewDHKEMPrivateKey(key)
	if err != nil {
		return "", fmt.Errorf("open token: %w", err)
	}
	token, err := hpke.Open(private, hpke.HKDFSHA256(), hpke.AES256GCM(), tokenInfo(r.Device(), kid, r.Nonce), r.Sealed[kidSize:])
	if err != nil {
		return "", fmt.Errorf("open token: %w: %w", ErrSignature, err)
	}
	return string(token), checkText("token", string(token), 1, MaxToken)
}

func tokenInfo(d DeviceID, k Kid, n Nonce) []byte {
	info := append([]byte(tokenMark), d[:]...)
	return append(append(info, k[:]...), n[:]...)
}
