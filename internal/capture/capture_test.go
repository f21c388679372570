package capture_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/capture"
)

// A desk has a folder for images, and programs of its own on PATH.
type desk struct {
	*testing.T
	dir string
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t, t.TempDir()}
	for _, name := range []string{"bin", "out"} {
		if err := os.Mkdir(d.path(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", d.path("bin")+":"+os.Getenv("PATH"))
	return d
}

func (d *desk) path(name string) string { return filepath.Join(d.dir, name) }

func (d *desk) program(name, text string) {
	d.Helper()
	if err := os.WriteFile(d.path("bin/"+name), []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		d.Fatal(err)
	}
}

func (d *desk) run(name string, args ...string) {
	d.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		d.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
}

// image makes an ext4 with a file in it.
func (d *desk) image() string {
	d.Helper()
	if err := os.MkdirAll(d.path("tree/etc"), 0o755); err != nil {
		d.Fatal(err)
	}
	if err := os.WriteFile(d.path("tree/etc/data"), bytes.Repeat([]byte("data"), 1000), 0o644); err != nil {
		d.Fatal(err)
	}
	d.run("mke2fs", "-q", "-F", "-t", "ext4", "-d", d.path("tree"), d.path("device"), "4M")
	return d.path("device")
}

// device is a device that ssh reaches: ssh runs here what it should there.
func (d *desk) device() {
	d.Helper()
	d.program("ssh", `for last; do :; done; exec sh -c "$last"`)
	d.program("sudo", `shift; exec "$@"`)
	d.program("moult-agent", fmt.Sprintf(`case $1 in
show) printf '{"device_type": "board", "provides": {"artifact_name": "r1", "rootfs-image.app.version": "3"}}\n' ;;
snapshot) test "$*" = "snapshot -C gzip --source ${SOURCE:-/}" && exec gzip -c %s ;;
esac`, d.path("device")))
}

func (d *desk) take(ctx context.Context, from string, o capture.Options) (*capture.Image, error) {
	d.Helper()
	o.Folder = d.path("out")
	before, _ := os.ReadDir(o.Folder)
	im, err := capture.Take(ctx, from, o)
	if err == nil {
		d.Cleanup(func() { im.Close() })
		return im, nil
	}
	if left, _ := os.ReadDir(o.Folder); len(left) != len(before) {
		d.Errorf("left behind: %v", left)
	}
	return nil, err
}

// holds wants a sound file system with the file in it.
func (d *desk) holds(im *capture.Image) {
	d.Helper()
	d.run("e2fsck", "-fn", im.Path)
	got, err := exec.Command("debugfs", "-R", "cat etc/data", im.Path).Output()
	if err != nil || !bytes.Equal(got, bytes.Repeat([]byte("data"), 1000)) {
		d.Errorf("the file in the image has %d bytes (%v)", len(got), err)
	}
}

func TestOverSSH(t *testing.T) {
	d := newDesk(t)
	d.image()
	d.device()
	came := 0
	im, err := d.take(t.Context(), "ssh://root@board:2222", capture.Options{Read: func(n int) { came += n }})
	if err != nil {
		t.Fatal(err)
	}
	d.holds(im)
	if im.DeviceType != "board" || im.Provides["rootfs-image.app.version"] != "3" || im.Size != 4<<20 || came != 4<<20 {
		t.Errorf("image %+v, %d bytes came", im, came)
	}
	t.Setenv("SOURCE", "/dev/it's")
	if _, err := d.take(t.Context(), "ssh://board/dev/it's", capture.Options{}); err != nil {
		t.Errorf("a source with a quote in its name: %v", err)
	}
}

// TestWhatSSHIsGiven: host, port and arguments arrive as they are, and none of
// them can be taken for another.
func TestWhatSSHIsGiven(t *testing.T) {
	d := newDesk(t)
	d.program("ssh", `for a; do case $a in r\(\)*) echo SCRIPT;; *) echo "$a";; esac; done >`+d.path("args")+`; exit 1`)
	_, err := d.take(t.Context(), "ssh://me@board:2222", capture.Options{SSH: []string{"-i", "my key"}})
	if err == nil {
		t.Fatal("an ssh that fails is believed")
	}
	got, _ := os.ReadFile(d.path("args"))
	want := "-T\n-o\nServerAliveInterval=15\n-o\nServerAliveCountMax=4\n-i\nmy key\n-p\n2222\n--\nme@board\nSCRIPT\n"
	if string(got) != want {
		t.Errorf("ssh got %q, want %q", got, want)
	}
	for _, bad := range []string{"ssh://", "ssh://-oProxyCommand=x", "ssh://-l@host", "ssh://u:secret@host", "ssh://host?x", "ssh://a b", "ssh://host:x"} {
		os.Remove(d.path("args"))
		if _, err := d.take(t.Context(), bad, capture.Options{}); err == nil {
			t.Errorf("Take(%q) = nil, want an error", bad)
		}
		if _, err := os.Stat(d.path("args")); err == nil {
			t.Errorf("%q: ssh was run", bad)
		}
	}
}

// TestNothingHalf: whatever comes instead of an image becomes none, says why
// and leaves nothing.
func TestNothingHalf(t *testing.T) {
	d := newDesk(t)
	whole, err := os.ReadFile(d.image())
	if err != nil {
		t.Fatal(err)
	}
	facts := `{"device_type": "board", "provides": {}}` + "\n"
	pack := func(p []byte) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write(p)
		z.Close()
		return append([]byte(facts), b.Bytes()...)
	}
	broken := bytes.Clone(whole)
	copy(broken[4096:], bytes.Repeat([]byte{0xff}, 64<<10))
	for name, tt := range map[string]struct {
		out  []byte
		exit int
		said string
		want string
	}{
		"the connection breaks":       {pack(whole)[:2000], 255, "Connection reset", "the connection broke: Connection reset"},
		"the device fails at its end": {pack(whole), 1, "cannot thaw", "ended with 1: cannot thaw"},
		"it ends early and well":      {pack(whole)[:2000], 0, "", "unexpected EOF"},
		"the image is cut short":      {pack(whole[:3<<20]), 0, "", capture.ErrShort.Error()},
		"the image is empty":          {pack(nil), 0, "", capture.ErrShort.Error()},
		"a bit is wrong on the way":   {append(pack(whole)[:1000], pack(whole)[1001:]...), 0, "", "read image"},
		"the file system is broken":   {pack(broken), 0, "", "check file system"},
		"no facts":                    {[]byte("Welcome!\n"), 0, "", "what the device says of itself"},
		"endless facts":               {[]byte(`{"device_type": "` + strings.Repeat("x", 2<<20) + `"}`), 0, "", "what the device says of itself"},
		"no image":                    {[]byte(facts), 0, "", "read image"},
		"not gzip":                    {append([]byte(facts), whole[:1<<16]...), 0, "", "read image"},
		"no agent":                    {nil, 127, "moult-agent is not installed", "ended with 127: moult-agent is not installed"},
		"sudo asks":                   {nil, 1, "sudo: a password is required", "a password is required"},
		"nothing":                     {nil, 0, "", "what the device says of itself"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(d.path("sent"), tt.out, 0o600); err != nil {
				t.Fatal(err)
			}
			d.program("ssh", fmt.Sprintf("cat %s; echo '%s' >&2; exit %d", d.path("sent"), tt.said, tt.exit))
			if _, err := d.take(t.Context(), "ssh://board", capture.Options{}); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Take() = %v, want %q in it", err, tt.want)
			}
		})
	}
}

// TestStopped: who stops waiting gets nothing, and ssh ends.
func TestStopped(t *testing.T) {
	d := newDesk(t)
	d.program("ssh", `trap 'echo stopped >`+d.path("stopped")+`; exit 0' INT; echo '{}'; head -c 100000 /dev/zero | gzip; while :; do sleep 0.1; done`)
	ctx, cancel := context.WithCancel(t.Context())
	began := make(chan bool, 1000)
	go func() { <-began; cancel() }()
	_, err := d.take(ctx, "ssh://board", capture.Options{Read: func(int) { began <- true }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Take() = %v, want %v", err, context.Canceled)
	}
	if _, err := os.Stat(d.path("stopped")); err != nil {
		t.Error("ssh was not told to end")
	}
}

// TestLongPartition: what follows the file system is not part of the image.
func TestLongPartition(t *testing.T) {
	d := newDesk(t)
	if err := os.Truncate(d.image(), 6<<20); err != nil {
		t.Fatal(err)
	}
	d.device()
	im, err := d.take(t.Context(), "ssh://board", capture.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if d.holds(im); im.Size != 4<<20 {
		t.Errorf("image of %d bytes, want %d", im.Size, 4<<20)
	}
}

// TestDirectory: the same files give the same image.
func TestDirectory(t *testing.T) {
	d := newDesk(t)
	d.image()
	var all [3][]byte
	for i, seed := range []string{"release-1", "release-1", "release-2"} {
		im, err := d.take(t.Context(), d.path("tree"), capture.Options{Seed: seed, Size: 8 << 20})
		if err != nil {
			t.Fatal(err)
		}
		d.holds(im)
		if all[i], err = os.ReadFile(im.Path); err != nil || len(all[i]) != 8<<20 {
			t.Errorf("image of %d bytes, %v", len(all[i]), err)
		}
		time.Sleep(1100 * time.Millisecond) // clocks of file systems tick in seconds
	}
	if !bytes.Equal(all[0], all[1]) || bytes.Equal(all[0], all[2]) {
		t.Errorf("same seed: same image %v; other seed: same image %v", bytes.Equal(all[0], all[1]), bytes.Equal(all[0], all[2]))
	}
	_, err := d.take(t.Context(), d.path("tree"), capture.Options{Size: 64 << 10})
	if err == nil || !strings.Contains(err.Error(), "--image-size") {
		t.Errorf("too small a file system: %v", err)
	}
}

// TestBlockDevice needs root's rights and loop devices.
func TestBlockDevice(t *testing.T) {
	d := newDesk(t)
	d.image()
	out, err := exec.Command("losetup", "--show", "-f", d.path("device")).Output()
	if err != nil {
		t.Fatalf("losetup: %v", err)
	}
	dev := strings.TrimSpace(string(out))
	t.Cleanup(func() { d.run("losetup", "-d", dev) })
	im, err := d.take(t.Context(), dev, capture.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d.holds(im)
	if err := os.Mkdir(d.path("mnt"), 0o755); err != nil {
		t.Fatal(err)
	}
	d.run("mount", dev, d.path("mnt"))
	t.Cleanup(func() { d.run("umount", d.path("mnt")) })
	if _, err := d.take(t.Context(), dev, capture.Options{}); err == nil || !strings.Contains(err.Error(), "is mounted at "+d.path("mnt")) {
		t.Errorf("a mounted device: %v", err)
	}
	d.run("mount", "-o", "remount,ro", dev, d.path("mnt"))
	if _, err := d.take(t.Context(), dev, capture.Options{}); err != nil {
		t.Errorf("a device that nobody writes to: %v", err)
	}
}

func TestNeeded(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "image")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for from, want := range map[string]bool{"ssh://host": true, dir: true, file: false} {
		if got, err := capture.Needed(from); got != want || err != nil {
			t.Errorf("Needed(%s) = %v, %v, want %v", from, got, err, want)
		}
	}
	for _, from := range []string{"/dev/null", filepath.Join(dir, "missing")} {
		if _, err := capture.Needed(from); err == nil {
			t.Errorf("Needed(%s) = nil, want an error", from)
		}
	}
}
