package brokertest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// An Authority signs the certificates of one test.
type Authority struct {
	Pool *x509.CertPool // its own certificate
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	n    int64
}

// NewAuthority returns one that ends with its test.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{t: t, key: newKey(t), Pool: x509.NewCertPool()}
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Moult test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, a.key.Public(), a.key)
	if err == nil {
		a.cert, err = x509.ParseCertificate(der)
	}
	if err != nil {
		t.Fatal(err)
	}
	a.Pool.AddCert(a.cert)
	return a
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Issue makes a key and a certificate for a name.
func (a *Authority) Issue(name string) tls.Certificate {
	a.t.Helper()
	key := newKey(a.t)
	return tls.Certificate{Certificate: [][]byte{a.Sign(name, key.Public())}, PrivateKey: key}
}

// Sign makes a certificate for a name and its public key, DER.
func (a *Authority) Sign(name string, key crypto.PublicKey) []byte {
	a.t.Helper()
	a.n++
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1 + a.n), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}, a.cert, key, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return der
}

// Config is a client's that is called name.
func (a *Authority) Config(name string) *tls.Config {
	a.t.Helper()
	return &tls.Config{RootCAs: a.Pool, Certificates: []tls.Certificate{a.Issue(name)}}
}

// Write writes ca.pem, and the key and certificate of a name.
func (a *Authority) Write(dir, name string) {
	a.t.Helper()
	c := a.Issue(name)
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		a.t.Fatal(err)
	}
	for file, b := range map[string]*pem.Block{
		"ca.pem": {Type: "CERTIFICATE", Bytes: a.cert.Raw}, name + ".pem": {Type: "CERTIFICATE", Bytes: c.Certificate[0]}, name + ".key": {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(b), 0o644); err != nil {
			a.t.Fatal(err)
		}
	}
}
