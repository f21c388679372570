package artifact_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/moult-ota/moult/artifact"
)

// A keyPair is a signing key as PEM, private in the forms that exist.
type keyPair struct {
	Traditional, PKCS8, Public []byte
}

func newECDSA(t testing.TB) keyPair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	der, err := x509.MarshalECPrivateKey(key)
	check(t, err)
	return encodeKeys(t, "EC PRIVATE KEY", der, key, &key.PublicKey)
}

func newRSA(t testing.TB, bits int) keyPair {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	check(t, err)
	return encodeKeys(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key), key, &key.PublicKey)
}

func encodeKeys(t testing.TB, kind string, der []byte, private, public any) keyPair {
	t.Helper()
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	check(t, err)
	spki, err := x509.MarshalPKIXPublicKey(public)
	check(t, err)
	return keyPair{
		Traditional: pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}),
		PKCS8:       pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
		Public:      pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}),
	}
}

func (k keyPair) signer(t testing.TB) artifact.Signer {
	t.Helper()
	s, err := artifact.ParsePrivateKey(k.Traditional)
	check(t, err)
	return s
}

func (k keyPair) verifier(t testing.TB) artifact.Verifier {
	t.Helper()
	v, err := artifact.ParsePublicKey(k.Public)
	check(t, err)
	return v
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func file(name string, content []byte) artifact.Source {
	return artifact.Source{Name: name, Size: int64(len(content)), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	}}
}

// rootfs is a whole-device update of content.
func rootfs(content []byte) artifact.Spec {
	software := artifact.Software{Version: "release-1"}
	return artifact.Spec{
		Name: "release-1", DeviceTypes: []string{"raspberrypi4", "qemu"},
		PayloadType: "rootfs-image", Files: []artifact.Source{file("rootfs.ext4", content)},
		Provides: software.Provides(), Clears: software.Clears(), ChecksumKey: "rootfs-image.checksum",
	}
}

func write(t testing.TB, spec artifact.Spec) []byte {
	t.Helper()
	var b bytes.Buffer
	spec.TempDir = t.TempDir()
	check(t, artifact.Write(&b, spec))
	return b.Bytes()
}

type content struct {
	Header *artifact.Header
	Files  map[string]string
}

// readAll reads an artifact as a device does.
func readAll(r io.Reader, opts artifact.ReaderOptions) (content, error) {
	a, err := artifact.NewReader(r, opts)
	if err != nil {
		return content{}, err
	}
	defer a.Close()
	c := content{Header: a.Header(), Files: map[string]string{}}
	for {
		f, err := a.Next()
		if err == io.EOF {
			return c, nil
		}
		if err != nil {
			return c, err
		}
		b, err := io.ReadAll(f)
		if err != nil {
			return c, err
		}
		c.Files[f.Name] = string(b)
	}
}

var unsigned = artifact.ReaderOptions{AllowUnsigned: true}

func save(t testing.TB, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	check(t, os.WriteFile(path, b, 0o600))
	return path
}

// noise is n bytes that hardly compress, the same each time.
func noise(n int) []byte {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return b
}
