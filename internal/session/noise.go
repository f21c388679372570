package session

import (
	"crypto/ecdh"
	"errors"
	"fmt"
	"io"

	"github.com/flynn/noise"

	"github.com/moult-ota/moult/internal/wire/securemsg"
)

// This file is the seam to flynn/noise. It gets no private key to see: the
// curves are those of crypto/ecdh, and the static key may lie in a secure
// element.

type (
	aead      = noise.Cipher         // seals and opens with an explicit nonce
	direction = noise.CipherState    // one half of what a handshake leaves
	handshake = noise.HandshakeState // between its messages
)

// A party is one end of a handshake before its first message.
type party struct {
	suite     securemsg.Suite
	initiator bool
	static    ecdh.KeyExchanger
	ephemeral *ecdh.PrivateKey // drawn before, used for one handshake
	peer      *ecdh.PublicKey
	prologue  []byte
}

// begin returns the handshake at its first message.
func (p party) begin() (*handshake, error) {
	g := group{curve: p.static.Curve(), static: p.static, ephemeral: p.ephemeral}
	g.name, g.size = names[p.suite], p.suite.PublicSize()
	return noise.NewHandshakeState(noise.Config{
		CipherSuite:   noise.NewCipherSuite(g, noise.CipherAESGCM, noise.HashSHA256),
		Random:        noRandom{}, // group has the ephemeral key already
		Pattern:       noise.HandshakeKK,
		Initiator:     p.initiator,
		Prologue:      p.prologue,
		StaticKeypair: noise.DHKey{Private: isStatic, Public: p.static.PublicKey().Bytes()},
		PeerStatic:    p.peer.Bytes(),
	})
}

// The names of the curves as a Noise protocol spells them; P256 is not
// registered, and its public keys are uncompressed points of 65 bytes.
var names = map[securemsg.Suite]string{securemsg.X25519: "25519", securemsg.P256: "P256"}

func curveOf(s securemsg.Suite) (ecdh.Curve, error) {
	switch s {
	case securemsg.X25519:
		return ecdh.X25519(), nil
	case securemsg.P256:
		return ecdh.P256(), nil
	}
	return nil, fmt.Errorf("suite %d: %w", s, ErrSuite)
}

// A group is a noise.DHFunc for one handshake. What noise takes for private
// keys are marks that say which key is meant.
type group struct {
	curve     ecdh.Curve
	name      string
	size      int
	static    ecdh.KeyExchanger
	ephemeral *ecdh.PrivateKey
}

var isStatic, isEphemeral = []byte{'s'}, []byte{'e'}

func (g group) GenerateKeypair(io.Reader) (noise.DHKey, error) {
	return noise.DHKey{Private: isEphemeral, Public: g.ephemeral.PublicKey().Bytes()}, nil
}

// DH refuses points off the curve, and on X25519 those of low order.
func (g group) DH(private, public []byte) ([]byte, error) {
	peer, err := g.curve.NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	if private[0] == isStatic[0] {
		return g.static.ECDH(peer)
	}
	return g.ephemeral.ECDH(peer)
}

func (g group) DHLen() int     { return g.size } // of a public key; noise asks for nothing else
func (g group) DHName() string { return g.name }

type noRandom struct{}

func (noRandom) Read([]byte) (int, error) { return 0, errors.New("no randomness here") }

// NewKey draws a private key for a suite: a device's session key, or a
// server's.
func NewKey(s securemsg.Suite, random io.Reader) (*ecdh.PrivateKey, error) {
	curve, err := curveOf(s)
	if err != nil {
		return nil, err
	}
	const tries = 8 // one in 2^32 draws is no scalar of P-256
	var scalar [32]byte
	for range tries {
		if _, err := io.ReadFull(random, scalar[:]); err != nil {
			return nil, fmt.Errorf("draw session key: %w", err)
		}
		if key, err := curve.NewPrivateKey(scalar[:]); err == nil {
			return key, nil
		}
	}
	return nil, errors.New("draw session key: the source of randomness is broken")
}
