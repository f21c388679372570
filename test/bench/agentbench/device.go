package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	mrand "math/rand/v2"
	"os"
	"os/exec"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/boot/register"
	"github.com/moult-ota/moult/internal/slot"
)

// newBench builds the agent, an image and its artifact.
func newBench(dir string, size int64) (*bench, error) {
	b := &bench{dir: dir, size: size}
	b.agent, b.image, b.artifact = b.path("moult-agent"), b.path("image"), b.path("image.mender")
	if _, err := build(b.agent, "", ""); err != nil {
		return nil, err
	}
	if err := random(b.image, size); err != nil {
		return nil, err
	}
	if err := b.pack(); err != nil {
		return nil, err
	}
	config := map[string]any{
		"device_type": "bench", "state_dir": b.path("state"), "verify_keys": []string{b.path("key.pem")},
		"slot_a": b.path("a"), "slot_b": b.path("b"), "register": b.path("register"), "running": "A",
	}
	text, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	return b, os.WriteFile(b.path("agent.json"), text, 0o600)
}

// build builds the program as it is released.
func build(to, arch, arm string) (int64, error) {
	cmd := exec.Command("cmd/moult-agent/build.sh", "go", "-s -w", to)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOMIPS=softfloat")
	if arch != "" {
		cmd.Env = append(cmd.Env, "GOARCH="+arch, "GOARM="+arm)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build moult-agent: %w: %s", err, out)
	}
	fi, err := os.Stat(to)
	if err != nil {
		return 0, err
	}
	return fi.Size(), nil
}

// random writes bytes that no compression and no comparison makes easier.
func random(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	out := bufio.NewWriterSize(f, 1<<20)
	if _, err := io.CopyN(out, mrand.NewChaCha8([32]byte{1}), size); err != nil {
		return err
	}
	return out.Flush()
}

// pack signs the image and writes its artifact, not compressed: the bytes to
// write are what is measured.
func (b *bench) pack() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err := os.WriteFile(b.path("key.pem"), text, 0o600); err != nil {
		return err
	}
	signer, err := artifact.ParsePrivateKey(text)
	if err != nil {
		return err
	}
	out, err := os.Create(b.artifact)
	if err != nil {
		return err
	}
	defer out.Close()
	return artifact.Write(out, artifact.Spec{
		Name: "bench-2", DeviceTypes: []string{"bench"}, PayloadType: "rootfs-image", Signer: signer,
		Files:       []artifact.Source{{Name: "image", Size: b.size, Open: func() (io.ReadCloser, error) { return os.Open(b.image) }}},
		Compression: artifact.None,
	})
}

func (b *bench) slotSize() int64 { return b.size + 64<<10 }

// fresh makes a device that runs a small image in slot A and never updated.
func (b *bench) fresh() error {
	for _, name := range []string{"state", "a", "b", "register"} {
		if err := os.RemoveAll(b.path(name)); err != nil {
			return err
		}
	}
	for _, name := range []string{"a", "b"} {
		if err := sized(b.path(name), b.slotSize()); err != nil {
			return err
		}
	}
	content := []byte("the image that runs")
	desc := slot.Descriptor{Length: int64(len(content)), SHA256: sha256.Sum256(content), Artifact: "bench-1"}
	f, err := slot.OpenFile(b.path("a"))
	if err != nil {
		return err
	}
	defer f.Close()
	w, err := slot.NewWriter(f, desc.Length)
	if err != nil {
		return err
	}
	if _, err := w.Write(content); err != nil {
		return err
	}
	if err := w.Finish(desc); err != nil {
		return err
	}
	return b.register(desc)
}

func (b *bench) register(d slot.Descriptor) error {
	disk, err := register.Create(b.path("register"))
	if err != nil {
		return err
	}
	defer disk.Close()
	r, err := register.Open(disk)
	if err != nil {
		return err
	}
	return r.Save(boot.First(slot.A, boot.ImageOf(d), 0))
}

// sized makes an empty file of a size, as a partition would be.
func sized(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Truncate(size)
}
