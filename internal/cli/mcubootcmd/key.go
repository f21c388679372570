package mcubootcmd

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moult-ota/moult/internal/cli/usage"
	"github.com/moult-ota/moult/mcuboot"
)

func generateCommand() *cobra.Command {
	var kind, path string
	c := &cobra.Command{Use: "generate", Short: "Make a private key", Args: takes(),
		Long: "Make a private key. One that signs stays with whoever signs; its public half is built into the boot loader.\n" +
			"One that decrypts is built into the boot loader, and its public half encrypts. A file that exists is not overwritten.",
		RunE: func(c *cobra.Command, _ []string) error {
			if path == "" {
				return usage.Errorf("where to? --key FILE")
			}
			key, err := newKey(kind)
			if err != nil {
				return err
			}
			der, err := x509.MarshalPKCS8PrivateKey(key)
			if err != nil {
				return err
			}
			return create(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
		}}
	c.Flags().StringVarP(&kind, "type", "t", "ed25519", "ed25519, ecdsa-p256, rsa-2048 or rsa-3072 to sign; x25519, ecdsa-p256 or rsa-2048 to encrypt")
	c.Flags().StringVarP(&path, "key", "k", "", "where the private key goes (required)")
	return c
}

func newKey(kind string) (crypto.PrivateKey, error) {
	switch kind {
	case "ed25519":
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	case "ecdsa-p256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "rsa-2048":
		return rsa.GenerateKey(rand.Reader, 2048)
	case "rsa-3072":
		return rsa.GenerateKey(rand.Reader, 3072)
	case "x25519":
		return ecdh.X25519().GenerateKey(rand.Reader)
	}
	return nil, usage.Errorf("--type %q: want ed25519, ecdsa-p256, rsa-2048, rsa-3072 or x25519", kind)
}

// create writes a new file that only its owner can read.
func create(path string, b []byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists; a key that is lost cannot be had again, so choose another name or remove it yourself", path)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		os.Remove(path)
	}
	return err
}

func publicCommand() *cobra.Command {
	var path, encoding string
	c := &cobra.Command{Use: "public", Short: "Print the public half of a key", Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			if path == "" {
				return usage.Errorf("of which key? --key FILE")
			}
			key, err := readKey(path, mcuboot.ParsePublicKey)
			if err != nil {
				return err
			}
			return printPublic(c.OutOrStdout(), key, encoding)
		}}
	c.Flags().StringVarP(&path, "key", "k", "", "the key, private or public (required)")
	c.Flags().StringVarP(&encoding, "encoding", "e", "pem", "pem, raw (what a boot loader has built in), lang-c (the same as C source), or hash (what images name it by)")
	return c
}

func printPublic(w io.Writer, key mcuboot.PublicKey, encoding string) error {
	var err error
	switch encoding {
	case "pem":
		kind := "PUBLIC KEY"
		if strings.HasPrefix(key.String(), "RSA") { // PKCS#1 is what Encoded has
			kind = "RSA PUBLIC KEY"
		}
		err = pem.Encode(w, &pem.Block{Type: kind, Bytes: key.Encoded()})
	case "raw":
		_, err = w.Write(key.Encoded())
	case "lang-c":
		_, err = io.WriteString(w, cSource(key))
	case "hash":
		_, err = fmt.Fprintln(w, hex.EncodeToString(key.Hash()))
	default:
		err = usage.Errorf("--encoding %q: want pem, raw, lang-c or hash", encoding)
	}
	return err
}

// cSource has the names that MCUboot's keys.c wants.
func cSource(key mcuboot.PublicKey) string {
	name := strings.ToLower(strings.FieldsFunc(key.String(), func(r rune) bool { return r == ' ' || r == '-' })[0]) + "_pub_key"
	var b strings.Builder
	fmt.Fprintf(&b, "const unsigned char %s[] = {", name)
	for i, v := range key.Encoded() {
		if i%8 == 0 {
			b.WriteString("\n   ")
		}
		fmt.Fprintf(&b, " 0x%02x,", v)
	}
	fmt.Fprintf(&b, "\n};\nconst unsigned int %s_len = %d;\n", name, len(key.Encoded()))
	return b.String()
}
