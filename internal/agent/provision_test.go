package agent

import (
	"os"
	"strings"
	"testing"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/slot"
)

// blankBox is a device as it comes from the assembly line: empty slots, no
// register.
func blankBox(t *testing.T) *box {
	t.Helper()
	b := newBox(t)
	b.ok(os.Remove(b.path("a")))
	f, err := slot.CreateFile(b.path("a"), boxImage+64<<10)
	b.ok(err)
	b.ok(f.Close())
	return b
}

func (b *box) provision(want int, path string, more ...string) string {
	b.t.Helper()
	return b.run(want, append([]string{"provision", path, "--device-type", "bench", "--slot-a", b.path("a"), "--slot-b", b.path("b"),
		"--register", b.path("register"), "--state-dir", b.path("state")}, more...)...)
}

func (b *box) blank() {
	b.t.Helper()
	f, err := slot.OpenFile(b.path("a"))
	b.ok(err)
	defer f.Close()
	if _, err := slot.Check(f); err == nil {
		b.t.Error("a refused artifact left an image in slot A")
	}
	if got := b.reboot(); got != "--running=none" {
		b.t.Errorf("the boot loader starts %s, want none", got)
	}
}

func TestProvision(t *testing.T) {
	b := blankBox(t)
	out := b.provision(exitOK, b.pack("fw-1", true), "--verify-keys", b.path("key.pem"))
	if !strings.Contains(out, "slot A holds fw-1") {
		t.Errorf("provision said %q", out)
	}
	if got := b.reboot(); got != "--running=A" {
		t.Errorf("the boot loader starts %s, want A", got)
	}
	b.signed("a")
	again := b.provision(exitError, b.pack("fw-2", true), "--verify-keys", b.path("key.pem"))
	if !strings.Contains(again, "names an image already") {
		t.Errorf("provision again said %q", again)
	}
	b.setup() // and the device is whole
}

// signed fails when a loader with the key would not start a slot.
func (b *box) signed(name string) {
	b.t.Helper()
	f, err := slot.OpenFile(b.path(name))
	b.ok(err)
	defer f.Close()
	d, err := slot.Check(f)
	b.ok(err)
	text, err := os.ReadFile(b.path("key.pem"))
	b.ok(err)
	key, err := artifact.ParsePublicKey(text)
	b.ok(err)
	_, err = artifact.VerifySigned(d.Excerpt, []artifact.Verifier{key}, d.SHA256)
	b.ok(err)
}

func TestProvisionRefuses(t *testing.T) {
	tests := []struct {
		name  string
		pack  func(b *box) string
		flags []string
		want  int
	}{
		{"no key", func(b *box) string { return b.pack("fw-1", true) }, nil, exitRefused},
		{"not signed", func(b *box) string { return b.pack("fw-1", false) }, []string{"--verify-keys", "key.pem"}, exitRefused},
		{"another device type", func(b *box) string { return b.pack("fw-1", true) },
			[]string{"--verify-keys", "key.pem", "--device-type", "other"}, exitRefused},
		{"changed on the way", func(b *box) string { return b.damage(b.pack("fw-1", true)) }, []string{"--verify-keys", "key.pem"}, exitRefused},
		{"no such file", func(b *box) string { return b.path("nowhere") }, []string{"--verify-keys", "key.pem"}, exitError},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := blankBox(t)
			for i, f := range tt.flags {
				if f == "key.pem" {
					tt.flags[i] = b.path(f)
				}
			}
			b.provision(tt.want, tt.pack(b), tt.flags...)
			b.blank()
		})
	}
}

// damage flips a bit in the middle of a file.
func (b *box) damage(path string) string {
	text, err := os.ReadFile(path)
	b.ok(err)
	text[len(text)/2] ^= 1
	b.ok(os.WriteFile(path, text, 0o600))
	return path
}
