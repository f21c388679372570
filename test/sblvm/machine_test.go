//go:build vm

package sblvm

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	mib       = 1 << 20
	imageSize = 24 * mib
	slotSize  = 32 * mib
)

// most is how long anything may take on a slow computer.
const most = 5 * time.Minute

var loud = flag.Bool("console", false, "show the machine's console")

// A machine is a PC under QEMU, without hardware acceleration, and what its
// console said.
type machine struct {
	*testing.T
	p            parts
	disk, initrd string
	args         []string
	c            *exec.Cmd
	mu           sync.Mutex
	said         bytes.Buffer
	seen         int // bytes that waits has passed
}

func (m *machine) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if *loud {
		_, _ = os.Stdout.Write(p)
	}
	return m.said.Write(p)
}

// on starts the machine.
func (m *machine) on() {
	m.Helper()
	args := []string{"-M", "pc", "-accel", "tcg", "-cpu", "max", "-m", "512", "-nographic", "-nodefaults", "-serial", "stdio",
		"-kernel", m.p.kernel, "-initrd", m.initrd, "-append", "console=ttyS0 quiet panic=1 net.ifnames=0",
		"-drive", "if=virtio,format=raw,file=" + m.disk, "-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile="}
	m.c = exec.Command("qemu-system-x86_64", append(args, m.args...)...)
	m.c.Stdout, m.c.Stderr = m, os.Stderr
	ok(m.T, m.c.Start())
	m.Cleanup(m.off)
}

// off pulls the plug.
func (m *machine) off() {
	if m.c != nil {
		_ = m.c.Process.Kill()
		_ = m.c.Wait()
	}
	m.c = nil
}

// waits waits until the console says text, from where the last wait ended.
func (m *machine) waits(text string) {
	m.Helper()
	for end := time.Now().Add(most); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if m.pass(text) {
			return
		}
	}
	m.Fatalf("the console did not say %q in %v, but\n%s", text, most, m.all()[max(0, len(m.all())-4000):])
}

func (m *machine) pass(text string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := bytes.Index(m.said.Bytes()[m.seen:], []byte(text))
	if i >= 0 {
		m.seen += i + len(text)
	}
	return i >= 0
}

func (m *machine) all() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.said.String()
}

// never fails when the console said text.
func (m *machine) never(text string) {
	m.Helper()
	if n := strings.Count(m.all(), text); n > 0 {
		m.Errorf("the console said %q %d times", text, n)
	}
}

// started is the init of an image that works: it says so, and feeds the
// watchdog if there is one.
func started(name string) string {
	return fmt.Sprintf(`#!/bin/sh
b=/bin/busybox
$b mount -t devtmpfs dev /dev; $b mount -t proc proc /proc; $b mount -t sysfs sys /sys
for m in /lib/modules/*.ko; do [ -e $m ] && $b insmod $m; done
echo "sblvm: %s is up: $($b cat /proc/cmdline)"
[ -c /dev/watchdog ] && exec $b watchdog -F -t 1 /dev/watchdog
while :; do $b sleep 60; done
`, name)
}

const hangs = `#!/bin/sh
echo "sblvm: this image hangs"
while :; do /bin/busybox sleep 60; done
`
