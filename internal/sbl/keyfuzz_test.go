package sbl

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"testing"
)

// FuzzKey fails when a key is read that crypto/x509 refuses, or reads as
// another.
func FuzzKey(f *testing.F) {
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		f.Fatal(err)
	}
	for _, key := range []any{&e.PublicKey, &r.PublicKey} {
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		key, err := parseSPKI(der)
		if err != nil {
			return
		}
		want, err := x509.ParsePKIXPublicKey(der)
		if err != nil || !key.(interface{ Equal(crypto.PublicKey) bool }).Equal(want) {
			t.Errorf("parseSPKI(%x) = %v, crypto/x509 says %v, %v", der, key, want, err)
		}
	})
}
