package agent

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/boot/register"
	"github.com/moult-ota/moult/internal/slot"
)

// A box is a device in a folder: plain files for slots and register.
type box struct {
	t   *testing.T
	dir string
	key []byte // PEM
}

const boxImage = 100 << 10

func newBox(t *testing.T) *box {
	t.Helper()
	b := &box{t: t, dir: t.TempDir()}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	b.ok(err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	b.ok(err)
	b.key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	b.ok(os.WriteFile(b.path("key.pem"), b.key, 0o600))
	for _, name := range []string{"a", "b"} {
		f, err := slot.CreateFile(b.path(name), boxImage+64<<10)
		b.ok(err)
		b.ok(f.Close())
	}
	b.ok(os.Mkdir(b.path("state"), 0o700))
	f, err := slot.OpenFile(b.path("a"))
	b.ok(err)
	b.first(f)
	f, err = slot.Apart(b.path("a"), b.path("state/slot-A.descriptor")) // for loaders that check nothing
	b.ok(err)
	b.first(f)
	return b
}

// first puts the image into a slot that the device came with.
func (b *box) first(f slot.File) {
	b.t.Helper()
	content := bytes.Repeat([]byte("old "), boxImage/4)
	w, err := slot.NewWriter(f, boxImage)
	b.ok(err)
	_, err = w.Write(content)
	b.ok(err)
	b.ok(w.Finish(slot.Descriptor{Length: boxImage, SHA256: sha256.Sum256(content), Artifact: "fw-1"}))
	b.ok(f.Close())
}

func (b *box) ok(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) path(name string) string { return filepath.Join(b.dir, name) }

// pack makes a signed artifact.
func (b *box) pack(name string, signed bool) string {
	signer, err := artifact.ParsePrivateKey(b.key)
	b.ok(err)
	if !signed {
		signer = nil
	}
	content := bytes.Repeat([]byte(name), boxImage/len(name))
	var out bytes.Buffer
	b.ok(artifact.Write(&out, artifact.Spec{
		Name: name, DeviceTypes: []string{"bench"}, PayloadType: "rootfs-image", Signer: signer,
		Files: []artifact.Source{{Name: "image", Size: int64(len(content)), Open: func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(content)), nil
		}}},
	}))
	b.ok(os.WriteFile(b.path(name), out.Bytes(), 0o600))
	return b.path(name)
}

// run runs moult-agent, and wants an exit code.
func (b *box) run(want int, args ...string) string {
	b.t.Helper()
	var out bytes.Buffer
	args = append(args, "--config", b.path("agent.json"))
	if got := Main(args, strings.NewReader(""), &out, &out); got != want {
		b.t.Fatalf("moult-agent %s: exit %d, want %d\n%s", strings.Join(args, " "), got, want, &out)
	}
	return out.String()
}

// setup configures the device, which runs slot A.
func (b *box) setup() *box {
	b.t.Helper()
	b.run(exitOK, "setup", "--device-type", "bench", "--state-dir", b.path("state"), "--verify-keys", b.path("key.pem"),
		"--slot-a", b.path("a"), "--slot-b", b.path("b"), "--register", b.path("register"), "--running", "A",
		"--identity", "serial=1", "--health-dir", b.path("health.d"))
	return b
}

// reboot lets the loader decide, and returns the flag that says what runs.
func (b *box) reboot() string {
	b.t.Helper()
	disk, err := register.File(b.path("register"))
	b.ok(err)
	defer disk.Close()
	r, err := register.Open(disk)
	b.ok(err)
	d, err := boot.Boot(r, boot.CheckSlots(func(s slot.Slot) (slot.File, error) {
		return slot.OpenFile(b.path(map[slot.Slot]string{slot.A: "a", slot.B: "b"}[s]))
	}, nil))
	b.ok(err)
	return "--running=" + d.Slot.String()
}

func (b *box) shows(running string) picture {
	b.t.Helper()
	var p picture
	b.ok(json.Unmarshal([]byte(b.run(exitOK, "show", "--json", running)), &p))
	return p
}

func TestInstallAndCommitByHand(t *testing.T) {
	b := newBox(t).setup()
	if got := b.shows("--running=A").Provides["artifact_name"]; got != "fw-1" {
		t.Errorf("before any update it provides %q", got)
	}
	b.run(exitReboot, "install", b.pack("fw-2", true), "--reboot-exit-code")
	b.run(exitError, "commit") // it does not run yet
	b.run(exitBusy, "install", b.pack("fw-3", true))
	running := b.reboot()
	if running != "--running=B" {
		t.Fatalf("the loader starts %s", running)
	}
	b.run(exitOK, "commit", running)
	p := b.shows(b.reboot())
	if p.Provides["artifact_name"] != "fw-2" || p.Running != "B" || p.Trial != "none" || !p.Slots[1].Current {
		t.Errorf("after commit: %+v", p)
	}
	b.run(exitNothing, "commit", running)
	b.run(exitNothing, "rollback", running)
}

func TestRollBackByHand(t *testing.T) {
	b := newBox(t).setup()
	b.run(exitOK, "install", b.pack("fw-2", true))
	running := b.reboot()
	if out := b.run(exitReboot, "rollback", running, "--reboot-exit-code"); !strings.Contains(out, "reboot") {
		t.Errorf("rollback said %q", out)
	}
	if running = b.reboot(); running != "--running=A" {
		t.Fatalf("the loader starts %s", running)
	}
	b.run(exitOK, "install", b.pack("fw-3", true), running)
	b.run(exitOK, "rollback", running) // before it ever ran
	if running = b.reboot(); running != "--running=A" {
		t.Errorf("the loader starts %s", running)
	}
}

func TestNeverCommitted(t *testing.T) {
	b := newBox(t).setup()
	b.run(exitOK, "install", b.pack("fw-2", true))
	running := ""
	for range boot.DefaultTries + 1 {
		running = b.reboot()
	}
	if running != "--running=A" {
		t.Fatalf("the loader starts %s", running)
	}
	b.run(exitNothing, "commit", running)
	if p := b.shows(running); p.Provides["artifact_name"] != "fw-1" || p.Record.Last.State != "rolled-back" {
		t.Errorf("after the trial: %+v", p)
	}
}

func TestFailedSelfTestGoesBack(t *testing.T) {
	b := newBox(t).setup()
	b.ok(os.Mkdir(b.path("health.d"), 0o755))
	b.ok(os.WriteFile(b.path("health.d/10-sensor"), []byte("#!/bin/sh\necho no sensor; exit 3\n"), 0o755))
	b.run(exitOK, "install", b.pack("fw-2", true))
	if out := b.run(exitReboot, "commit", b.reboot(), "--reboot-exit-code"); !strings.Contains(out, "no sensor") {
		t.Errorf("commit said %q", out)
	}
	if running := b.reboot(); running != "--running=A" {
		t.Errorf("the loader starts %s", running)
	}
}

func TestRefusesByHand(t *testing.T) {
	b := newBox(t).setup()
	b.run(exitRefused, "install", b.pack("fw-2", false))
	b.run(exitRefused, "install", b.pack("fw-2", true), "--device-type", "toaster")
	b.run(exitRefused, "install", b.pack("fw-2", true), "--verify-keys", "")
	b.run(exitRefused, "install", b.pack("fw-2", true), "--verify-keys", b.path("missing.pem"))
	b.run(exitError, "install", b.path("no-such-file"))
}

func TestUsage(t *testing.T) {
	b := newBox(t).setup()
	b.run(exitUsage, "fly")
	b.run(exitUsage, "install")
	b.run(exitUsage, "show", "--colour")
	b.run(exitUsage, "show", "extra")
	b.ok(os.WriteFile(b.path("agent.json"), []byte(`{"device_typ": "x"}`), 0o600))
	if out := b.run(exitUsage, "show"); !strings.Contains(out, "device_typ") {
		t.Errorf("an unknown key was refused with %q", out)
	}
	b.ok(os.WriteFile(b.path("agent.json"), []byte(`{"poll": "1m", "tries": 5, "servers": ["https://a", "https://b"]}`), 0o600))
	t.Setenv("MOULT_AGENT_POLL", "2m")
	t.Setenv("MOULT_AGENT_TRIES", "4")
	out := b.run(exitOK, "config", "--poll", "3m")
	for _, want := range []string{`"poll": "3m0s"`, `"tries": "4"`, `"https://b"`} {
		if !strings.Contains(out, want) {
			t.Errorf("config has no %s:\n%s", want, out)
		}
	}
	t.Setenv("MOULT_AGENT_COLOUR", "red")
	b.run(exitUsage, "config")
}

// TestOneAtATime: a second moult-agent keeps off while the first is at work.
func TestOneAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := fileLock{path, lockRetry}.lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (fileLock{path, lockRetry}).lock(t.Context()); exitCode(err) != exitBusy {
		t.Errorf("lock() = %v, want %v", err, ErrBusy)
	}
	unlock()
	if unlock, err = (fileLock{path, lockRetry}).lock(t.Context()); err != nil {
		t.Errorf("lock() after unlock = %v", err)
	} else {
		unlock()
	}
}

func TestSetupNamesWhatIsMissing(t *testing.T) {
	b := newBox(t)
	out := b.run(exitError, "setup", "--device-type", "bench", "--state-dir", b.path("state"), "--identity", "a=1")
	if !strings.Contains(out, "no key to verify") {
		t.Errorf("setup said %q", out)
	}
}
