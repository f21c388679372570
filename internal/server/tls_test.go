package server

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestSelfSignedIsMadeOnce(t *testing.T) {
	o := Defaults()
	o.TLS, o.Data, o.PublicURL = "self-signed", t.TempDir(), "https://ota.example.com:8443"
	now := time.Now()
	cfg, first, err := o.certificate(now)
	if err != nil {
		t.Fatal(err)
	}
	_, second, err := o.certificate(now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if first == "" || first != second {
		t.Errorf("fingerprints %q and %q, want the same twice", first, second)
	}
	if st, err := os.Stat(filepath.Join(o.Data, "tls", "key.pem")); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("key.pem: %v, %v, want mode 0600", st.Mode(), err)
	}
	leaf := cfg.Certificates[0].Leaf
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	for _, name := range []string{"localhost", "127.0.0.1", "ota.example.com"} {
		if _, err := leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots}); err != nil {
			t.Errorf("certificate for %s: %v", name, err)
		}
	}
	if _, err := leaf.Verify(x509.VerifyOptions{DNSName: "other.example.com", Roots: roots}); err == nil {
		t.Error("certificate is good for a name that is not the server's")
	}
}

func TestSelfSignedAfterAnInterruptedStart(t *testing.T) {
	o := Defaults()
	o.TLS, o.Data = "self-signed", t.TempDir()
	dir := filepath.Join(o.Data, "tls")
	os.MkdirAll(dir, 0o700)
	if err := os.WriteFile(filepath.Join(dir, "key.pem"), []byte("half a k"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, print, err := o.certificate(time.Now()); err != nil || print == "" {
		t.Errorf("certificate() = %q, %v, want a new one", print, err)
	}
}
