package artifact_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os/exec"
	"testing"

	"github.com/moult-ota/moult/artifact"
)

var manifestText = []byte("any text will do\n")

func TestKeyForms(t *testing.T) {
	for name, pair := range map[string]keyPair{"ecdsa": newECDSA(t), "rsa": newRSA(t, 2048)} {
		for form, private := range map[string][]byte{
			"traditional": pair.Traditional, "PKCS#8": pair.PKCS8,
			"after EC PARAMETERS": append([]byte("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"), pair.Traditional...),
		} {
			s, err := artifact.ParsePrivateKey(private)
			check(t, err)
			sig, err := s.Sign(manifestText)
			check(t, err)
			again, err := s.Sign(manifestText)
			check(t, err)
			if !bytes.Equal(sig, again) {
				t.Errorf("%s, %s: two signatures differ", name, form)
			}
			check(t, pair.verifier(t).Verify(manifestText, sig))
			own, err := artifact.ParsePublicKey(private)
			check(t, err)
			check(t, own.Verify(manifestText, sig))
			if err := own.Verify(manifestText[1:], sig); !errors.Is(err, artifact.ErrSignature) {
				t.Errorf("%s, %s: Verify of other text = %v", name, form, err)
			}
			if name == "ecdsa" && len(sig) != 64 {
				t.Errorf("signature of %d bytes, want 64", len(sig))
			}
		}
	}
}

// A key in an HSM signs in DER; its length varies and all of them count.
func TestVerifyDER(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	check(t, err)
	v, err := artifact.ParsePublicKey(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}))
	check(t, err)
	for i := range 600 {
		text := []byte{byte(i), byte(i >> 8)}
		sum := sha256.Sum256(text)
		der, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
		check(t, err)
		if err := v.Verify(text, der); err != nil {
			t.Fatalf("Verify of %d bytes DER: %v", len(der), err)
		}
	}
}

func TestKeysRefused(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	check(t, err)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	pkcs8 := func(key any) []byte {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		check(t, err)
		return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	}
	small := opensslKey(t, "genrsa", "1024")
	encrypted := opensslKey(t, "genpkey", "-algorithm", "RSA", "-aes256", "-pass", "pass:x")
	for name, text := range map[string][]byte{
		"empty": nil, "no PEM": []byte("hello"), "P-384": pkcs8(p384), "Ed25519": pkcs8(ed), "small RSA": small, "encrypted": encrypted,
		"certificate": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}),
		"broken":      pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")}),
	} {
		if _, err := artifact.ParsePublicKey(text); !errors.Is(err, artifact.ErrKey) {
			t.Errorf("ParsePublicKey of %s = %v, want ErrKey", name, err)
		}
		if _, err := artifact.ParsePrivateKey(text); !errors.Is(err, artifact.ErrKey) {
			t.Errorf("ParsePrivateKey of %s = %v, want ErrKey", name, err)
		}
	}
	if _, err := artifact.ParsePrivateKey(newECDSA(t).Public); !errors.Is(err, artifact.ErrKey) {
		t.Errorf("ParsePrivateKey of a public key = %v, want ErrKey", err)
	}
}

func opensslKey(t *testing.T, args ...string) []byte {
	t.Helper()
	out, err := exec.Command("openssl", args...).Output()
	if err != nil {
		t.Fatalf("openssl %q (package openssl): %v", args, err)
	}
	return out
}
