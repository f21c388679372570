package agent

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestCertificate: what a device asks for names it as brokers do, and what it
// gets is taken when it is of its key.
func TestCertificate(t *testing.T) {
	dir := t.TempDir()
	run := func(args ...string) (string, string) {
		var out, errs bytes.Buffer
		Main(append(args, "--state-dir", dir), strings.NewReader(""), &out, &errs)
		return out.String(), errs.String()
	}
	out, errs := run("request-certificate")
	block, _ := pem.Decode([]byte(out))
	if block == nil {
		t.Fatalf("request-certificate printed %q, %q", out, errs)
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil || request.CheckSignature() != nil {
		t.Fatalf("request: %v, %v", err, request.CheckSignature())
	}
	c := newConfig()
	c.StateDir = dir
	key, err := c.deviceKey()
	if err != nil {
		t.Fatal(err)
	}
	if name, err := wireName(key); err != nil || request.Subject.CommonName != name || len(name) != 32 {
		t.Errorf("common name = %q, want %q, %v", request.Subject.CommonName, name, err)
	}
	sign := func(public any) string {
		der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotAfter: time.Now().Add(time.Hour),
		}, &x509.Certificate{Subject: pkix.Name{CommonName: "authority"}}, public, key)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "cert.pem")
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	c.ClientCertificate = sign(key.Public())
	if tr, err := c.transport(); err != nil || len(tr.TLSClientConfig.Certificates) != 1 {
		t.Errorf("transport with the device's certificate: %v", err)
	}
	other := newConfig()
	other.StateDir = t.TempDir()
	stranger, err := other.deviceKey()
	if err != nil {
		t.Fatal(err)
	}
	c.ClientCertificate = sign(stranger.Public())
	if _, err := c.transport(); err == nil || !strings.Contains(err.Error(), "another key") {
		t.Errorf("transport with another's certificate: %v", err)
	}
}
