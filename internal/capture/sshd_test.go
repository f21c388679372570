package capture_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"strings"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/capture"
)

// sshd starts OpenSSH's server on loopback, and returns its port. Who logs in
// finds the desk's programs.
func (d *desk) sshd() string {
	d.Helper()
	for _, name := range []string{"host", "me"} {
		d.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", d.path(name))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		d.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	config := fmt.Sprintf("Port %s\nListenAddress 127.0.0.1\nHostKey %s\nAuthorizedKeysFile %s\nPidFile none\nStrictModes no\nUsePAM no\nSetEnv PATH=%s\n",
		port, d.path("host"), d.path("me.pub"), d.path("bin")+":/usr/sbin:/usr/bin:/sbin:/bin")
	if err := os.WriteFile(d.path("sshd_config"), []byte(config), 0o600); err != nil {
		d.Fatal(err)
	}
	if os.Getuid() == 0 { // where Debian's service makes it
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			d.Fatal(err)
		}
	}
	cmd := exec.Command("/usr/sbin/sshd", "-D", "-e", "-f", d.path("sshd_config"))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		d.Fatalf("start sshd: %v", err)
	}
	d.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			c.Close()
			break
		}
	}
	key, err := os.ReadFile(d.path("host.pub"))
	if err != nil {
		d.Fatal(err)
	}
	if err := os.WriteFile(d.path("known"), []byte("[127.0.0.1]:"+port+" "+string(key)), 0o600); err != nil {
		d.Fatal(err)
	}
	return port
}

// TestRealSSH goes the whole way: OpenSSH's client and server, and the agent's
// own program on the other side.
func TestRealSSH(t *testing.T) {
	d := newDesk(t)
	image := d.image()
	d.program("sudo", `shift; exec "$@"`)
	build := exec.Command("go", "build", "-o", d.path("bin/moult-agent"), "github.com/moult-ota/moult/cmd/moult-agent")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build moult-agent: %v: %s", err, out)
	}
	port := d.sshd()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	options := func(known string) capture.Options {
		return capture.Options{SSH: []string{"-F", "none", "-i", d.path("me"), "-o", "UserKnownHostsFile=" + known, "-o", "BatchMode=yes"}}
	}
	im, err := d.take(t.Context(), "ssh://"+me.Username+"@127.0.0.1:"+port+image, options(d.path("known")))
	if err != nil {
		t.Fatal(err)
	}
	if d.holds(im); im.Provides == nil {
		t.Error("the device said nothing of what it provides")
	}
	_, err = d.take(t.Context(), "ssh://"+me.Username+"@127.0.0.1:"+port+image, options(d.path("host.pub")))
	if err == nil || !strings.Contains(err.Error(), "could not connect") {
		t.Errorf("a host that is not known: %v", err)
	}
	_, err = d.take(t.Context(), "ssh://"+me.Username+"@127.0.0.1:"+port+image+".missing", options(d.path("known")))
	if err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a source that is not there: %v", err)
	}
}
