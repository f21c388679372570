package agenttest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	mrand "math/rand/v2"

	"github.com/moult-ota/moult/artifact"
)

// DeviceType is what the device here is.
const DeviceType = "bench"

// An Image is firmware and how it behaves.
type Image struct {
	Name    string
	Size    int
	Floor   uint64 // security version; 0 for none
	Crashes bool   // before its agent starts
	Sick    bool   // fails its self-test
}

// bytes are the same for the same name, and half of it for any name.
func (i Image) bytes() []byte {
	var key [32]byte
	b := make([]byte, i.Size)
	mrand.NewChaCha8(key).Read(b[:i.Size/2])
	copy(key[:], i.Name)
	mrand.NewChaCha8(key).Read(b[i.Size/2:])
	return b
}

// A Signer makes artifacts.
type Signer struct {
	signer artifact.Signer
	Key    artifact.Verifier
	PEM    []byte // of the private key
}

// NewSigner returns a signer with a key of its own.
func NewSigner() *Signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(err)
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	s := &Signer{PEM: text}
	s.signer, err = artifact.ParsePrivateKey(text)
	must(err)
	s.Key, err = artifact.ParsePublicKey(text)
	must(err)
	return s
}

// Artifact packs and signs an image. change, when not nil, edits what is
// written.
func (s *Signer) Artifact(i Image, change func(*artifact.Spec)) []byte {
	content := i.bytes()
	software := artifact.Software{Version: i.Name}
	if i.Floor > 0 {
		software.SecurityVersion = &i.Floor
	}
	spec := artifact.Spec{
		Name: i.Name, DeviceTypes: []string{DeviceType}, PayloadType: "rootfs-image",
		Files: []artifact.Source{{Name: "image", Size: int64(len(content)), Open: func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(content)), nil
		}}},
		Provides: software.Provides(), Clears: software.Clears(), Signer: s.signer,
		Compression: artifact.None,
	}
	if change != nil {
		change(&spec)
	}
	var out bytes.Buffer
	must(artifact.Write(&out, spec))
	return out.Bytes()
}

// must is for what cannot go wrong in a test's own world.
func must(err error) {
	if err != nil {
		panic(fmt.Sprintf("agenttest: %v", err))
	}
}
