//go:build vm

// Package sblvm starts virtual machines whose moult-sbl has nothing to start,
// or starts what hangs.
package sblvm

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moult-ota/moult/test/debkernel"
)

// cache keeps what comes from Debian between runs.
const cache = "../../.cache/sblvm"

// modules of Debian's kernel, in the order in which they are loaded.
var (
	disks = []string{
		"virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk",
		"crc16", "crc32c_generic", "mbcache", "jbd2", "ext4",
	}
	cards = []string{"failover", "net_failover", "virtio_net"}
	dogs  = []string{"watchdog", "i6300esb"}
)

// A parts box is what images are made of.
type parts struct {
	kernel, busybox, sbl string
	modules              string // folder
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// gather fetches Debian's kernel and busybox, once, and builds moult-sbl as it
// is released. Nothing is installed.
func gather(t *testing.T) parts {
	t.Helper()
	ok(t, os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")) // for mke2fs
	k, err := debkernel.Fetch(cache)
	ok(t, err)
	p := parts{k.Image, k.Busybox, cache + "/moult-sbl", k.Modules}
	abs, err := filepath.Abs(p.sbl)
	ok(t, err)
	run(t, "../..", "cmd/moult-sbl/build.sh", "go", "-s -w", abs)
	return p
}

func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	c := exec.Command(name, args...)
	c.Dir = dir
	out, err := c.Output()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		t.Fatalf("%s %q: %v: %s", name, args, err, exit.Stderr)
	}
	ok(t, err)
	return string(out)
}

// files are the contents of a folder, by name. What begins with a slash or a
// dot is the path of a file to copy.
type files map[string]string

// with adds modules.
func (f files) with(t *testing.T, p parts, names ...string) files {
	t.Helper()
	for i, name := range names {
		path := strings.TrimSpace(run(t, ".", "find", p.modules, "-name", name+".ko"))
		f[fmt.Sprintf("lib/modules/%02d-%s.ko", i, name)] = path
	}
	return f
}

func (f files) write(t *testing.T, dir string) {
	t.Helper()
	for name, text := range f {
		path := filepath.Join(dir, name)
		ok(t, os.MkdirAll(filepath.Dir(path), 0o755))
		if strings.HasPrefix(text, "/") || strings.HasPrefix(text, ".") {
			b, err := os.ReadFile(text)
			ok(t, err)
			text = string(b)
		}
		ok(t, os.WriteFile(path, []byte(text), 0o755))
	}
}

// initrd packs files as the kernel takes them.
func (f files) initrd(t *testing.T, p parts, path string) {
	t.Helper()
	dir := t.TempDir()
	f.write(t, dir)
	busybox, err := filepath.Abs(p.busybox)
	ok(t, err)
	out := run(t, dir, "sh", "-c", "find . | "+busybox+" cpio -o -H newc -R 0:0 2>/dev/null | gzip -1")
	ok(t, os.WriteFile(path, []byte(out), 0o644))
}

// image makes the file system of a slot: a kernel, and an initrd whose init is
// a script.
func (p parts) image(t *testing.T, init string, modules ...string) []byte {
	t.Helper()
	dir := t.TempDir()
	f := files{"init": init, "bin/busybox": p.busybox, "bin/sh": p.busybox, "dev/x": "", "proc/x": "", "sys/x": ""}
	f.with(t, p, modules...).initrd(t, p, dir+"/initrd")
	files{"boot/vmlinuz": p.kernel, "boot/initrd.img": dir + "/initrd"}.write(t, dir+"/root")
	run(t, ".", "mke2fs", "-q", "-t", "ext4", "-d", dir+"/root", "-E", "root_owner=0:0", dir+"/image", fmt.Sprintf("%dM", imageSize/mib))
	b, err := os.ReadFile(dir + "/image")
	ok(t, err)
	return b
}
