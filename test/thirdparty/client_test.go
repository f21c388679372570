// Package thirdparty_test drives other people's clients against our server.
// A test whose client is missing fails and names the package to install.
package thirdparty_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A client is one running mender-client 3.4.0 with folders of its own.
type client struct {
	dir string
	log string // file
}

const deviceType = "test-board"

// startClient starts Debian's mender-client in a mount namespace, in which
// its fixed paths lead to the test's folder. It ends with the test.
func startClient(t *testing.T, server string, publicKey []byte) *client {
	t.Helper()
	mender, err := exec.LookPath("mender")
	if err != nil {
		t.Fatalf("find mender: %v; install the Debian package mender-client", err)
	}
	c := &client{dir: t.TempDir()}
	c.log = filepath.Join(c.dir, "client.log")
	c.write(t, "identity/mender-device-identity", 0o755, "#!/bin/sh\necho mac=de:ad:be:ef:00:01\necho sn=1234\n")
	c.write(t, "etc/artifact_info", 0o644, "artifact_name=release-1\n")
	c.write(t, "etc/verify.pem", 0o644, string(publicKey))
	c.write(t, "data/device_type", 0o644, "device_type="+deviceType+"\n")
	c.write(t, "etc/mender.conf", 0o600, c.config(t, server))

	const script = `mount --bind "$1/identity" /usr/share/mender/identity && mount --bind "$1/etc" /etc/mender && shift && exec "$@"`
	cmd := exec.Command("unshare", "--mount", "--map-root-user", "sh", "-c", script, "sh", c.dir,
		mender, "--data", filepath.Join(c.dir, "data"), "--log-file", c.log, "--log-level", "debug", "--no-syslog", "daemon")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := os.Create(filepath.Join(c.dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatalf("start mender: %v", err)
	}
	t.Cleanup(func() { c.stop(t, cmd) })
	return c
}

func (c *client) stop(t *testing.T, cmd *exec.Cmd) {
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // its update module, too
	cmd.Wait()
	if t.Failed() {
		for _, name := range []string{c.log, filepath.Join(c.dir, "out")} {
			text, _ := os.ReadFile(name)
			t.Logf("%s:\n%s", filepath.Base(name), text[max(0, len(text)-8000):])
		}
	}
}

func (c *client) config(t *testing.T, server string) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{
		"ServerURL":                    server,
		"ArtifactVerifyKey":            "/etc/mender/verify.pem",
		"UpdatePollIntervalSeconds":    1,
		"InventoryPollIntervalSeconds": 5,
		"RetryPollIntervalSeconds":     1,
		"UpdateLogPath":                filepath.Join(c.dir, "data"),
		"DBus":                         map[string]bool{"Enabled": false},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (c *client) write(t *testing.T, name string, mode os.FileMode, text string) {
	t.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// waitFor asks until ok, for at most a minute.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("waited a minute for %s", what)
}
