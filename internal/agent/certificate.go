package agent

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/moult-ota/moult/internal/atomicfile"
)

// wireName is what the device is called by brokers: half of the SHA-256 of
// its public key.
func wireName(key crypto.Signer) (string, error) {
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return "", fmt.Errorf("name device: %w", err)
	}
	sum := sha256.Sum256(spki)
	return hex.EncodeToString(sum[:16]), nil
}

// requestCertificate prints a request for a certificate that names the device
// as brokers do.
func (p *program) requestCertificate(context.Context) (int, error) {
	if err := p.none(); err != nil {
		return 0, err
	}
	key, err := p.config.deviceKey()
	if err != nil {
		return 0, err
	}
	name, err := wireName(key)
	if err != nil {
		return 0, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, key)
	if err != nil {
		return 0, fmt.Errorf("request certificate: %w", err)
	}
	return exitOK, pem.Encode(p.stdout, &pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

// clientCertificate reads the certificate that is configured, which must be
// of the device's key.
func (c *Config) clientCertificate() (pair tls.Certificate, err error) {
	text, err := atomicfile.Read(c.ClientCertificate, maxRoots)
	if err != nil {
		return pair, err
	}
	key, err := c.deviceKey()
	if err != nil {
		return pair, err
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			pair.Certificate = append(pair.Certificate, block.Bytes)
		}
	}
	if len(pair.Certificate) == 0 {
		return pair, fmt.Errorf("read %s: no certificate in it", c.ClientCertificate)
	}
	if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
		return pair, fmt.Errorf("read %s: %w", c.ClientCertificate, err)
	}
	if public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(pair.Leaf.PublicKey) {
		return pair, fmt.Errorf("read %s: %w", c.ClientCertificate, errors.New("it is of another key than the device's"))
	}
	pair.PrivateKey = key
	return pair, nil
}
