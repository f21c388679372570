package agent

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/atomicfile"
	"github.com/moult-ota/moult/internal/device"
)

// maxKey bounds a PEM file, in bytes.
const maxKey = 64 << 10

// identity says who the device is: what is configured, what a program says,
// or the first network card.
func (c *Config) identity(ctx context.Context) (device.Identity, error) {
	var attrs map[string]any
	switch {
	case len(c.Identity) > 0:
		attrs = pairs(strings.Join(c.Identity, "\n"))
	case c.IdentityCommand != "":
		out, err := run(ctx, c.IdentityCommand)
		if err != nil {
			return "", fmt.Errorf("identify device: %w", err)
		}
		attrs = pairs(string(out))
	default:
		mac, err := firstMAC("/sys/class/net")
		if err != nil {
			return "", fmt.Errorf("identify device: %w", err)
		}
		attrs = map[string]any{"mac": mac}
	}
	text, err := json.Marshal(attrs)
	if err != nil {
		return "", fmt.Errorf("identify device: %w", err)
	}
	return device.ParseIdentity(string(text))
}

// firstMAC is the address of the first real card, by name. Virtual cards come
// and go, and have no device.
func firstMAC(dir string) (string, error) {
	paths, _ := filepath.Glob(filepath.Join(dir, "*", "device"))
	for _, path := range paths {
		text, err := os.ReadFile(filepath.Join(filepath.Dir(path), "address"))
		mac := strings.TrimSpace(string(text))
		if err == nil && mac != "" && mac != "00:00:00:00:00:00" {
			return mac, nil
		}
	}
	return "", errors.New("no network card; set identity, or identity_command")
}

// deviceKey reads the device's key, and makes one when there is none. A file
// that is there and cannot be read is an error: a second key would be a second
// device.
func (c *Config) deviceKey() (crypto.Signer, error) {
	path := c.Key
	if path == "" {
		path = filepath.Join(c.StateDir, "device.key")
	}
	text, err := atomicfile.Read(path, maxKey)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKey(path)
	}
	if err != nil {
		return nil, err
	}
	key, err := parseKey(text)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return key, nil
}

func makeKey(path string) (crypto.Signer, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make device key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make device key: %w", err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	return key, atomicfile.Write(path, text, 0o600)
}

// parseKey reads PKCS#8, PKCS#1 or SEC1, so that a device keeps the key that
// it had with another client.
func parseKey(text []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no PEM block")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a %T cannot sign", key)
	}
	return signer, nil
}

// verifiers reads the keys that artifacts are verified with. One that cannot
// be read verifies nothing; the error says which.
func (c *Config) verifiers() (keys []artifact.Verifier, err error) {
	for _, path := range c.VerifyKeys {
		text, err2 := atomicfile.Read(path, maxKey)
		if err2 == nil {
			var key artifact.Verifier
			if key, err2 = artifact.ParsePublicKey(text); err2 == nil {
				keys = append(keys, key)
				continue
			}
		}
		err = errors.Join(err, fmt.Errorf("read verify key %s: %w", path, err2))
	}
	return keys, err
}
