package sim

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"

	"github.com/moult-ota/moult/artifact"
)

// deviceType is what the virtual devices are.
const deviceType = "virtual"

// A Builder is a builder's desk: it makes images into signed artifacts.
type Builder struct {
	signer artifact.Signer
	key    artifact.Verifier
	public []byte // PEM
}

// NewBuilder makes a desk with a key of its own.
func NewBuilder() (*Builder, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make signing key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make signing key: %w", err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("make signing key: %w", err)
	}
	b := &Builder{public: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})}
	if b.signer, err = artifact.ParsePrivateKey(text); err != nil {
		return nil, err
	}
	b.key, err = artifact.ParsePublicKey(text)
	return b, err
}

// Release packs an image of size bytes into a signed artifact.
func (b *Builder) Release(im Image, size int64, security uint64) ([]byte, error) {
	var image, out bytes.Buffer
	if err := im.Write(&image, size, security); err != nil {
		return nil, err
	}
	software := artifact.Software{Version: im.Version, SecurityVersion: &security}
	err := artifact.Write(&out, artifact.Spec{
		Name:        "fw-" + im.Version,
		DeviceTypes: []string{deviceType},
		PayloadType: "rootfs-image",
		Files: []artifact.Source{{Name: "image.bin", Size: int64(image.Len()), Open: func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(image.Bytes())), nil
		}}},
		Provides:    software.Provides(),
		Clears:      software.Clears(),
		ChecksumKey: "rootfs-image.checksum",
		Signer:      b.signer,
	})
	if err != nil {
		return nil, fmt.Errorf("write release %s: %w", im.Version, err)
	}
	return out.Bytes(), nil
}
