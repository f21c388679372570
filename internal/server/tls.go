package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/moult-ota/moult/internal/atomicfile"
)

// selfSignedLife is how long a self-signed certificate lasts. Those who trust
// it trust its fingerprint, and nothing renews it.
const selfSignedLife = 10 * 365 * 24 * time.Hour

// certificate loads what the options name; the fingerprint is empty for a
// certificate that others signed. Nil means plain HTTP.
func (o Options) certificate(now time.Time) (cfg *tls.Config, fingerprint string, err error) {
	cert, key := o.TLSCert, o.TLSKey
	if !o.secure() {
		return nil, "", nil
	}
	if o.TLS == "self-signed" {
		dir := filepath.Join(o.Data, "tls")
		cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
		if err := o.ensureSelfSigned(dir, cert, key, now); err != nil {
			return nil, "", fmt.Errorf("make self-signed certificate: %w", err)
		}
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, "", fmt.Errorf("load certificate: %w", err)
	}
	if o.TLS == "self-signed" {
		sum := sha256.Sum256(pair.Certificate[0])
		fingerprint = hex.EncodeToString(sum[:])
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, fingerprint, nil
}

// ensureSelfSigned makes key and certificate unless both are there. The
// certificate is written last: without it, the next start makes both again.
func (o Options) ensureSelfSigned(dir, cert, key string, now time.Time) error {
	if _, err := os.Stat(cert); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := o.selfSign(private, now)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	if err := atomicfile.Write(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600); err != nil {
		return err
	}
	return atomicfile.Write(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}

func (o Options) selfSign(key *ecdsa.PrivateKey, now time.Time) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "moult self-signed"},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(selfSignedLife), // devices' clocks are late
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, IsCA: true, // so that devices can take it as their only root
	}
	for _, name := range o.names() {
		if ip := net.ParseIP(name); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, name)
		}
	}
	return x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
}

// names are what the server may be called by.
func (o Options) names() []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	if host, err := os.Hostname(); err == nil {
		names = append(names, host)
	}
	if u, err := url.Parse(o.PublicURL); err == nil && u.Hostname() != "" {
		names = append(names, u.Hostname())
	}
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() {
			names = append(names, n.IP.String())
		}
	}
	return names
}
