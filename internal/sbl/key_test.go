package sbl

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func asPEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// TestKeys fails when a key is read otherwise than crypto/x509 reads it.
func TestKeys(t *testing.T) {
	type public interface{ Equal(crypto.PublicKey) bool }
	der := must[[]byte](t)
	r := must[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 2048))
	tests := map[string]struct {
		text []byte
		want public
	}{"RSA PKCS #1": {asPEM("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&r.PublicKey)), &r.PublicKey},
		"RSA": {asPEM("PUBLIC KEY", der(x509.MarshalPKIXPublicKey(&r.PublicKey))), &r.PublicKey}}
	for range 50 {
		e := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
		tests["ECDSA"] = struct {
			text []byte
			want public
		}{asPEM("PUBLIC KEY", der(x509.MarshalPKIXPublicKey(&e.PublicKey))), &e.PublicKey}
		for name, tt := range tests {
			if got, err := parseKey(tt.text); err != nil || !tt.want.Equal(got) {
				t.Errorf("%s: parseKey = %v, %v, want %v", name, got, err, tt.want)
			}
		}
	}
}

// TestKeyFromOpenSSL reads what people make keys with.
func TestKeyFromOpenSSL(t *testing.T) {
	dir := t.TempDir()
	for _, line := range []string{
		"openssl ecparam -genkey -name prime256v1 -noout -out ec.key && openssl ec -in ec.key -pubout -out ec.pub",
		"openssl genrsa -out rsa.key 3072 && openssl rsa -in rsa.key -pubout -out rsa.pub && openssl rsa -in rsa.key -RSAPublicKey_out -out rsa1.pub",
	} {
		c := exec.Command("sh", "-c", line)
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", line, err, out)
		}
	}
	for name, ok := range map[string]bool{"ec.pub": true, "rsa.pub": true, "rsa1.pub": true, "ec.key": false, "rsa.key": false} {
		if _, err := readKey(filepath.Join(dir, name)); (err == nil) != ok {
			t.Errorf("readKey(%s) = %v, want a key: %v", name, err, ok)
		}
	}
}

// TestKeysRefused fails when something else passes for a key.
func TestKeysRefused(t *testing.T) {
	der := must[[]byte](t)
	e := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	good := der(x509.MarshalPKIXPublicKey(&e.PublicKey))
	other := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	short := must[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 1024))
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	change := func(at int, b byte) []byte { p := bytes.Clone(good); p[at] ^= b; return p }
	for name, text := range map[string][]byte{
		"nothing": nil, "no PEM": []byte("ssh-rsa AAAA"), "empty": asPEM("PUBLIC KEY", nil),
		"cut off": asPEM("PUBLIC KEY", good[:len(good)-1]), "more follows": asPEM("PUBLIC KEY", append(good, 0)),
		"a certificate": asPEM("CERTIFICATE", good), "off the curve": asPEM("PUBLIC KEY", change(len(good)-1, 1)),
		"unused bits": asPEM("PUBLIC KEY", change(25, 1)), "compressed": asPEM("PUBLIC KEY", change(26, 6)),
		"P-384": asPEM("PUBLIC KEY", der(x509.MarshalPKIXPublicKey(&other.PublicKey))), "another algorithm": asPEM("PUBLIC KEY", change(12, 1)),
		"another curve": asPEM("PUBLIC KEY", change(22, 1)), "Ed25519": asPEM("PUBLIC KEY", der(x509.MarshalPKIXPublicKey(edwards))),
		"RSA of 1024 bits": asPEM("PUBLIC KEY", der(x509.MarshalPKIXPublicKey(&short.PublicKey))),
		"RSA, negative":    asPEM("RSA PUBLIC KEY", []byte{0x30, 6, 2, 1, 0xff, 2, 1, 3}),
	} {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readKey(path); err == nil {
			t.Errorf("%s: readKey = nil, want an error", name)
		}
	}
}
