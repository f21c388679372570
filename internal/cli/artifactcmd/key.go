package artifactcmd

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/moult-ota/moult/internal/cli/usage"
)

const minRSABits = 2048

type generating struct {
	kind, format    string
	bits            int
	private, public string
}

func generateCommand() *cobra.Command {
	g := &generating{}
	c := &cobra.Command{Use: "generate", Short: "Make a key pair that signs artifacts", Args: none,
		Long: "Make a key pair that signs artifacts. The private key stays with whoever signs, and never goes to a server;\n" +
			"the public key goes to devices. Files that exist are not overwritten.",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := g.run(); err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "private key: %s\npublic key:  %s\n", g.private, g.public)
			return nil
		}}
	f := c.Flags()
	f.StringVar(&g.kind, "type", "ecdsa", "ecdsa (P-256) or rsa")
	f.IntVar(&g.bits, "bits", 3072, "size of an RSA key")
	f.StringVar(&g.format, "format", "pkcs8", "of the private key: pkcs8, or traditional (SEC 1, PKCS#1) for mender-artifact before 4.0")
	f.StringVar(&g.private, "private", "artifact-private.pem", "where the private key goes")
	f.StringVar(&g.public, "public", "artifact-public.pem", "where the public key goes")
	return c
}

func (g *generating) run() error {
	if g.format != "pkcs8" && g.format != "traditional" {
		return usage.Errorf("--format %q: want pkcs8 or traditional", g.format)
	}
	var private, public *pem.Block
	var err error
	switch g.kind {
	case "ecdsa":
		private, public, err = g.newECDSA()
	case "rsa":
		if g.bits < minRSABits || g.bits > 16384 {
			return usage.Errorf("--bits %d: want %d to 16384", g.bits, minRSABits)
		}
		private, public, err = g.newRSA()
	default:
		return usage.Errorf("--type %q: want ecdsa or rsa; the format knows no others", g.kind)
	}
	if err != nil {
		return err
	}
	return g.save(private, public)
}

func (g *generating) newECDSA() (private, public *pem.Block, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return g.blocks("EC PRIVATE KEY", der, key, &key.PublicKey)
}

func (g *generating) newRSA() (private, public *pem.Block, err error) {
	key, err := rsa.GenerateKey(rand.Reader, g.bits)
	if err != nil {
		return nil, nil, err
	}
	return g.blocks("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key), key, &key.PublicKey)
}

func (g *generating) blocks(kind string, der []byte, key, public any) (*pem.Block, *pem.Block, error) {
	private := &pem.Block{Type: kind, Bytes: der}
	var err error
	if g.format == "pkcs8" {
		private.Type = "PRIVATE KEY"
		if private.Bytes, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
			return nil, nil, err
		}
	}
	der, err = x509.MarshalPKIXPublicKey(public)
	return private, &pem.Block{Type: "PUBLIC KEY", Bytes: der}, err
}

// save writes both files or neither, and overwrites none.
func (g *generating) save(private, public *pem.Block) error {
	if err := create(g.private, pem.EncodeToMemory(private), 0o600); err != nil {
		return err
	}
	if err := create(g.public, pem.EncodeToMemory(public), 0o644); err != nil {
		os.Remove(g.private)
		return err
	}
	return nil
}

func create(path string, b []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists; a key that is lost cannot be had again, so choose another name or remove it yourself", path)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		os.Remove(path)
	}
	return err
}
