package childtest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"

	"github.com/moult-ota/moult/internal/child"
	"github.com/moult-ota/moult/mcuboot"
)

// Key signs the images here.
var Key = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))

// PublicKey is the key to verify them with.
func PublicKey() mcuboot.PublicKey {
	k, err := mcuboot.NewPublicKey(Key.Public())
	if err != nil {
		panic("childtest: " + err.Error())
	}
	return k
}

// PEM is the key to verify them with, as a file has it.
func PEM() []byte {
	der, err := x509.MarshalPKIXPublicKey(Key.Public())
	if err != nil {
		panic("childtest: " + err.Error())
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// NewImage makes an image of a version. change, when not nil, edits what is
// signed.
func NewImage(version string, size int, change func(*mcuboot.Spec)) child.Image {
	v, err := mcuboot.ParseVersion(version)
	if err != nil {
		panic("childtest: " + err.Error())
	}
	spec := mcuboot.Spec{Payload: bytes.Repeat([]byte(version+" "), size/(len(version)+1)+1)[:size], Version: v, Key: Key}
	if change != nil {
		change(&spec)
	}
	text, err := mcuboot.Sign(rand.Reader, spec)
	if err != nil {
		panic("childtest: " + err.Error())
	}
	return MustImage(text)
}
