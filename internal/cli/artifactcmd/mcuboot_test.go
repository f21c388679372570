package artifactcmd

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// firmware is a folder with images that imgtool made, and one without a
// signature: its hash alone is in the last area.
const vectors = "../../../mcuboot/testdata/"

func firmware(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	put := func(name string, p []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), p, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"vectors/ed25519.bin", "vectors/protected.bin", "vectors/pad-8.bin", "vectors/encrypted-x25519-128.bin", "ed25519.pem", "rsa-2048.pem"} {
		p, err := os.ReadFile(vectors + name)
		if err != nil {
			t.Fatal(err)
		}
		put(filepath.Base(name), p)
	}
	image := []byte(contents(t, dir, "ed25519.bin"))
	const area = 0x200 + 1000
	unsigned := bytes.Clone(image[:area+4+4+32])
	unsigned[area+2], unsigned[area+3] = 4+4+32, 0
	put("unsigned.bin", unsigned)
	image[700] ^= 1
	put("spoiled.bin", image)
	return dir
}

func TestWriteMCUboot(t *testing.T) {
	const write = "artifact write mcuboot-image -n fw -t k64f "
	dir := firmware(t)
	for _, tt := range []struct {
		args string
		code int
		says string
	}{
		{"ed25519.bin", 0, ""},
		{"-f ed25519.bin", 0, ""},
		{"ed25519.bin --image-key rsa-2048.pem --image-key ed25519.pem", 0, ""},
		{"ed25519.bin --image-key rsa-2048.pem", 8, "signed by none"},
		{"ed25519.bin --software-version 1.2.3+4", 0, ""},
		{"ed25519.bin --software-version 1.2.3", 2, "the image is 1.2.3+4"},
		{"ed25519.bin --security-version 6", 2, "--security-counter 6"},
		{"ed25519.bin --no-default-software-version", 2, "go by the version"},
		{"ed25519.bin -p mcuboot-image.version:1.2.3+4", 0, ""},
		{"ed25519.bin -p mcuboot-image.hash:00", 2, "the image says"},
		{"protected.bin --security-version 6", 0, ""},
		{"protected.bin -p mcuboot-image.security_version:5", 2, "the image says"},
		{"unsigned.bin", 8, "--allow-unsigned"},
		{"unsigned.bin --allow-unsigned", 0, ""},
		{"unsigned.bin --allow-unsigned --image-key ed25519.pem", 8, "not signed"},
		{"spoiled.bin", 8, "hash"},
		{"spoiled.bin --allow-unsigned --force", 8, "hash"},
		{"pad-8.bin", 1, "--force"},
		{"pad-8.bin --force", 0, ""},
		{"encrypted-x25519-128.bin", 0, ""},
		{"encrypted-x25519-128.bin --image-key ed25519.pem", 8, "encrypted"},
		{"ed25519.pem", 1, "moult mcuboot sign"},
		{"", 2, "one FILE"},
		{"ed25519.bin protected.bin", 2, "got 2"},
		{"gone.bin", 1, "no such file"},
	} {
		out, code := run(t, dir, strings.Fields(write+tt.args+" -o fw.mender")...)
		if code != tt.code || !strings.Contains(out, tt.says) {
			t.Errorf("moult %s%s: exit code %d, want %d, saying %q:\n%s", write, tt.args, code, tt.code, tt.says, out)
		}
		if _, err := os.Stat("fw.mender"); (err == nil) != (code == 0) {
			t.Errorf("%s: artifact is there: %v", tt.args, err == nil)
		}
		os.Remove("fw.mender")
	}
}

// What is provided is the image's, under the software's name; mender-artifact
// can read it.
func TestMCUbootProvides(t *testing.T) {
	dir := firmware(t)
	ok(t, dir, strings.Fields("artifact write mcuboot-image -n fw -t k64f --software-name motor -o fw.mender protected.bin")...)
	h := header(t, "fw.mender")
	for key, want := range map[string]string{"mcuboot-image.motor.version": "2.0.1", "mcuboot-image.motor.security_version": "6"} {
		if h.Provides[key] != want {
			t.Errorf("provides %s: %q, want %q", key, h.Provides[key], want)
		}
	}
	if len(h.Provides["mcuboot-image.motor.hash"]) != 64 || len(h.Clears) != 1 || h.Clears[0] != "mcuboot-image.motor.*" {
		t.Errorf("provides %v, clears %v", h.Provides, h.Clears)
	}
	mender(t, dir, "validate", "fw.mender")
}
