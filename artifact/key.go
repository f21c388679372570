package artifact

// A Signer makes the signature over a manifest, in the form that is stored.
type Signer interface {
	Sign(manifest []byte) ([]byte, error)
}

// A Verifier returns nil only if sig is its key's signature over manifest.
type Verifier interface {
	Verify(manifest, sig []byte) error
}

// ParsePrivateKey reads the first private key in PEM: RSA or ECDSA P-256, as
// PKCS#1, SEC1 or PKCS#8. Signatures are deterministic.
func ParsePrivateKey(pem []byte) (Signer, error) { panic("soon") }

// ParsePublicKey reads the first public key in PEM (SPKI), RSA or ECDSA P-256.
// A private key is accepted too, and its public half taken.
func ParsePublicKey(pem []byte) (Verifier, error) { panic("soon") }
