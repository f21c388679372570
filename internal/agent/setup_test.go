package agent

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tree fills a box with files as a device has them: path to content.
func (b *box) tree(files map[string]string) {
	b.t.Helper()
	for path, text := range files {
		b.ok(os.MkdirAll(filepath.Dir(b.path(path)), 0o755))
		b.ok(os.WriteFile(b.path(path), []byte(text), 0o644))
	}
}

// partition makes the kernel's words about a partition.
func (b *box) partition(name, label string) {
	b.tree(map[string]string{"sys/class/block/" + name + "/uevent": "MAJOR=8\nDEVNAME=" + name + "\nDEVTYPE=partition\nPARTNAME=" + label + "\n"})
}

func TestLabeled(t *testing.T) {
	tests := []struct {
		name  string
		parts map[string]string // device to label
		links []string
		want  string // of slot-a
	}{
		{"none", map[string]string{"sda1": "data"}, nil, ""},
		{"without udev", map[string]string{"sda1": "moult-a"}, nil, "/dev/sda1"},
		{"with udev", map[string]string{"sda1": "moult-a"}, []string{"moult-a"}, "/dev/disk/by-partlabel/moult-a"},
		{"others' names", map[string]string{"mmcblk0p2": "rootfs-a", "mmcblk0p3": "rootfs-b"}, nil, "/dev/mmcblk0p2"},
		{"capitals", map[string]string{"mmcblk0p2": "rootA"}, nil, "/dev/mmcblk0p2"},
		{"ours first", map[string]string{"sda1": "rootfs-a", "sda5": "moult-a"}, nil, "/dev/sda5"},
		{"on two disks", map[string]string{"sda1": "moult-a", "sdb1": "moult-a"}, []string{"moult-a"}, ""},
		{"only a part of the name", map[string]string{"sda1": "moult-a2"}, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := &box{t: t, dir: t.TempDir()}
			for name, label := range tt.parts {
				b.partition(name, label)
			}
			for _, label := range tt.links {
				b.tree(map[string]string{"dev/disk/by-partlabel/" + label: ""})
			}
			if got := strings.TrimPrefix(labeled(b.dir, "slot-a"), b.dir); got != tt.want {
				t.Errorf("labeled(slot-a) = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestKind(t *testing.T) {
	tests := []struct{ file, want string }{
		{"etc/hostname", ""},
		{"etc/fw_env.config", "uboot"},
		{"boot/grub/mender_grubenv1", "grub"},
		{"boot/efi/loader/moult/a.conf", "systemd-boot"},
	}
	for _, tt := range tests {
		b := &box{t: t, dir: t.TempDir()}
		b.tree(map[string]string{tt.file: ""})
		if got := kind(b.dir); got != tt.want {
			t.Errorf("kind() with %s = %q, want %q", tt.file, got, tt.want)
		}
		b.partition("sda1", "moult-register")
		if got := kind(b.dir); got != "register" {
			t.Errorf("kind() with %s and a register = %q", tt.file, got)
		}
	}
}

// board is a box with a disk of labelled partitions, a key and a card.
func board(t *testing.T) *box {
	b := newBox(t)
	b.partition("vda1", "moult-register")
	b.partition("vda2", "moult-a")
	b.partition("vda3", "moult-b")
	b.ok(os.MkdirAll(b.path("dev"), 0o755))
	b.ok(os.Rename(b.path("a"), b.path("dev/vda2")))
	b.ok(os.Rename(b.path("b"), b.path("dev/vda3")))
	b.tree(map[string]string{
		"etc/moult/release.pub":        string(b.key),
		"sys/class/net/eth0/address":   "02:00:00:00:00:01\n",
		"sys/class/net/eth0/device/id": "",
	})
	return b
}

// settings are what setup wrote, the box's folder cut off.
func (b *box) settings() map[string]any {
	b.t.Helper()
	text, err := os.ReadFile(b.path("agent.json"))
	b.ok(err)
	var values map[string]any
	b.ok(json.Unmarshal([]byte(strings.ReplaceAll(string(text), b.dir, "")), &values))
	return values
}

func (b *box) wrote(want map[string]any) {
	b.t.Helper()
	got := b.settings()
	for key, value := range want {
		if fmt.Sprint(got[key]) != fmt.Sprint(value) {
			b.t.Errorf("setup wrote %s: %v, want %v", key, got[key], value)
		}
	}
	if len(got) != len(want) {
		b.t.Errorf("setup wrote %v, want %v", got, want)
	}
}

// found is what a board says about itself.
func found() map[string]any {
	return map[string]any{
		"device_type": "bench", "running": "A", "state_dir": "/state", "identity": "[mac=02:00:00:00:00:01]",
		"verify_keys": "[/etc/moult/release.pub]", "slot_a": "/dev/vda2", "slot_b": "/dev/vda3", "register": "/dev/vda1",
	}
}

// setUp runs setup on a box with a terminal, or with none.
func (b *box) setUp(stdin *os.File, flags ...string) (string, int) {
	var out strings.Builder
	p := &program{stdin: stdin, stdout: &out, stderr: &out, root: b.dir}
	if stdin.Name() != os.DevNull {
		p.stdout, p.stderr = stdin, stdin
	}
	args := append([]string{"setup", "--config", b.path("agent.json"), "--state-dir", b.path("state"), "--running", "A"}, flags...)
	code, err := p.command(b.t.Context(), args)
	if err != nil {
		fmt.Fprintln(&out, err)
	}
	return out.String(), code
}

// TestSetupByFlags: nobody answers; what is found holds, and is said.
func TestSetupByFlags(t *testing.T) {
	b := board(t)
	null, err := os.Open(os.DevNull) // as systemd and cron have it: a device, but no terminal
	b.ok(err)
	defer null.Close()
	out, code := b.setUp(null, "--device-type", "bench")
	if code != exitOK {
		t.Fatalf("setup: exit %d\n%s", code, out)
	}
	b.wrote(found())
	for _, want := range []string{"found        slot-a " + b.path("dev/vda2"), "running      slot A", "no server", "confirmed fw-1"} {
		if !strings.Contains(out, want) {
			t.Errorf("setup said nothing of %q:\n%s", want, out)
		}
	}
	if fi, err := os.Stat(b.path("state/device.key")); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("the device's key: %v, %v", fi, err)
	}
}

// TestSetupKeepsWhatIsSaid: flags win over what is found, and a loader of
// another kind needs numbers where slots are links.
func TestSetupKeepsWhatIsSaid(t *testing.T) {
	b := board(t)
	b.ok(os.RemoveAll(b.path("sys/class/block/vda1")))
	b.ok(os.MkdirAll(b.path("dev/disk/by-partlabel"), 0o755))
	for label, name := range map[string]string{"moult-a": "vda2", "moult-b": "vda3"} {
		b.ok(os.Symlink("../../"+name, b.path("dev/disk/by-partlabel/"+label)))
	}
	b.tree(map[string]string{"etc/fw_env.config": ""})
	p := &program{stdout: new(strings.Builder), root: b.dir}
	b.ok(p.parse([]string{"--device-type", "bench", "--identity", "serial=7"}, true))
	p.ask()
	c := p.config
	if got := fmt.Sprint(c.Boot, c.BootParts, c.Identity, strings.ReplaceAll(c.SlotB, b.dir, "")); got != "uboot[2 3] [serial=7]/dev/disk/by-partlabel/moult-b" {
		t.Errorf("setup found %s", got)
	}
}

// A console is a person at a terminal.
type console struct {
	*testing.T
	screen *os.File
	seen   string
}

// newConsole returns a real pseudo-terminal: the person, and what a program
// gets as its standard input.
func newConsole(t *testing.T) (*console, *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	return &console{T: t, screen: master}, tty
}

// answer waits for a question and types a line.
func (c *console) answer(question, line string) {
	buf := make([]byte, 4096)
	for end := time.Now().Add(10 * time.Second); !strings.Contains(c.seen, question); {
		n, err := c.screen.Read(buf)
		if c.seen += string(buf[:n]); err != nil || time.Now().After(end) {
			c.Errorf("waiting for %q (%v), the screen says:\n%s", question, err, c.seen)
			return
		}
	}
	_, c.seen, _ = strings.Cut(c.seen, question)
	fmt.Fprintln(c.screen, line)
}

// TestSetupOnATerminal: Enter takes what is proposed, a minus leaves it out.
func TestSetupOnATerminal(t *testing.T) {
	b := board(t)
	person, tty := newConsole(t)
	done := make(chan int, 1)
	go func() {
		_, code := b.setUp(tty)
		done <- code
	}()
	person.answer("device-type", "bench")
	person.answer("servers", "http://127.0.0.1:1")
	person.answer("token", "moult_enr_x")
	person.answer("["+b.path("etc/moult/release.pub")+"]: ", "")
	person.answer("[mac=02:00:00:00:00:01]: ", "serial=9")
	person.answer("["+b.path("dev/vda2")+"]: ", "")
	person.answer("["+b.path("dev/vda3")+"]: ", "")
	person.answer("boot ", "") // register
	person.answer("["+b.path("dev/vda1")+"]: ", "")
	select {
	case code := <-done:
		if code != exitOK {
			t.Errorf("setup: exit %d", code)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("setup asks for more")
	}
	want := found()
	want["servers"], want["token"], want["identity"] = "[http://127.0.0.1:1]", "moult_enr_x", "[serial=9]"
	b.wrote(want)
}

// TestSetupLeavesOut: a device without slots, where the disk has some.
func TestSetupLeavesOut(t *testing.T) {
	b := board(t)
	person, tty := newConsole(t)
	done := make(chan int, 1)
	go func() {
		_, code := b.setUp(tty, "--device-type", "bench")
		done <- code
	}()
	for _, question := range []string{"servers", "verify-keys", "identity", "slot-a", "slot-b"} {
		person.answer(question+" (", map[bool]string{true: "-", false: ""}[strings.HasPrefix(question, "slot")])
	}
	if code := <-done; code != exitOK {
		t.Errorf("setup: exit %d", code)
	}
	want := found()
	delete(want, "slot_a")
	delete(want, "slot_b")
	delete(want, "register")
	b.wrote(want)
}

// TestRegisterIsNotMadeInDev: a file there would be memory, and gone after the
// next boot.
func TestRegisterIsNotMadeInDev(t *testing.T) {
	b := newBox(t)
	path := fmt.Sprintf("/dev/moult-register-%d", os.Getpid())
	out := b.run(exitError, "setup", "--device-type", "bench", "--state-dir", b.path("state"), "--identity", "a=1",
		"--slot-a", b.path("a"), "--slot-b", b.path("b"), "--register", path, "--running", "A", "--verify-keys", b.path("key.pem"))
	if there(path) {
		os.Remove(path)
		t.Errorf("setup made a register of memory, and said:\n%s", out)
	}
}
