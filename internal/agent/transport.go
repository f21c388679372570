package agent

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/moult-ota/moult/internal/atomicfile"
)

// maxRoots bounds the file of trusted certificates, in bytes.
const maxRoots = 1 << 20

// transport is HTTP with the trust that is configured.
func (c *Config) transport() (*http.Transport, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns = 2
	t.IdleConnTimeout = 30 * time.Second
	t.ResponseHeaderTimeout = 60 * time.Second
	t.MaxResponseHeaderBytes = 64 << 10
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if c.ServerCertificate != "" {
		roots, err := x509.SystemCertPool()
		if err != nil {
			roots = x509.NewCertPool()
		}
		text, err := atomicfile.Read(c.ServerCertificate, maxRoots)
		if err != nil {
			return nil, err
		}
		if !roots.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("read %s: no certificate in it", c.ServerCertificate)
		}
		t.TLSClientConfig.RootCAs = roots
	}
	if c.ClientCertificate != "" {
		pair, err := c.clientCertificate()
		if err != nil {
			return nil, err
		}
		t.TLSClientConfig.Certificates = []tls.Certificate{pair}
	}
	if c.Pin != "" {
		pin, err := hex.DecodeString(strings.ReplaceAll(c.Pin, ":", ""))
		if err != nil || len(pin) != sha256.Size {
			return nil, fmt.Errorf("pin %q: want %d bytes in hex", c.Pin, sha256.Size)
		}
		t.TLSClientConfig.VerifyConnection = pinned([sha256.Size]byte(pin))
	}
	return t, nil
}

// pinned accepts only servers with that public key, after the usual checks.
func pinned(pin [sha256.Size]byte) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 || sha256.Sum256(s.PeerCertificates[0].RawSubjectPublicKeyInfo) != pin {
			return errors.New("the server's public key is not the pinned one")
		}
		return nil
	}
}
