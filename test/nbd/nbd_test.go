package nbd_test

import (
	"bytes"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/moult-ota/moult/test/nbd"
)

const mib = 1 << 20

// serve serves a new disk of 8 MiB, and returns how QEMU names it.
func serve(t *testing.T) (d *nbd.Disk, path, name string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "nbd") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path = filepath.Join(dir, "disk")
	if err := os.WriteFile(path, bytes.Repeat([]byte{0x11}, 8*mib), 0o600); err != nil {
		t.Fatal(err)
	}
	if d, err = nbd.Open(path); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.Close()
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	go func() { _ = d.Serve(l) }()
	return d, path, "nbd:unix:" + filepath.Join(dir, "s")
}

// qemu runs commands of qemu-io on the disk, with its cache for writes.
func qemu(t *testing.T, name string, commands ...string) {
	t.Helper()
	args := []string{"-f", "raw", "-t", "writeback"}
	for _, c := range commands {
		args = append(args, "-c", c)
	}
	out, err := exec.Command("qemu-io", append(args, name)...).CombinedOutput()
	if err != nil && commands[len(commands)-1] != "abort" { // which is how it dies
		t.Fatalf("qemu-io %q: %v: %s", commands, err, out)
	}
}

func byteAt(t *testing.T, path string, at int64) byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := make([]byte, 1)
	if _, err := f.ReadAt(p, at); err != nil {
		t.Fatal(err)
	}
	return p[0]
}

// TestFlushedSurvives: qemu-io reads what it wrote; flushed writes survive any
// cut.
func TestFlushedSurvives(t *testing.T) {
	d, path, name := serve(t)
	qemu(t, name, "write -P 0x22 0 1M", "read -P 0x22 0 1M", "read -P 0x11 1M 1M", "flush", "write -f -P 0x33 2M 64k", "read -P 0x33 2M 64k")
	for seed := range uint64(20) {
		if err := d.Cut(rand.New(rand.NewPCG(seed, 0))); err != nil {
			t.Fatal(err)
		}
		if a, b, c := byteAt(t, path, 0), byteAt(t, path, 2*mib), byteAt(t, path, mib); a != 0x22 || b != 0x33 || c != 0x11 {
			t.Fatalf("after a cut the disk holds %x, %x, %x", a, b, c)
		}
	}
	if n := d.Counts(); n.Writes < 2 || n.Flushes < 1 {
		t.Errorf("counts %+v", n)
	}
}

// TestUnflushedIsLost: some of it, whole or up to a sector, and in any order;
// the machine then reads the same.
func TestUnflushedIsLost(t *testing.T) {
	d, path, name := serve(t)
	r := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		qemu(t, name, "write -P 0x44 0 4k", "write -P 0x44 1M 4k", "write -P 0x44 3M 4k", "abort")
		if err := d.Cut(r); err != nil {
			t.Fatal(err)
		}
	}
	n := d.Counts()
	if n.Lost == 0 || n.Kept == 0 || n.Torn == 0 {
		t.Errorf("counts %+v, want some of each", n)
	}
	if b := byteAt(t, path, 7*mib); b != 0x11 {
		t.Errorf("a byte that nobody wrote is %x", b)
	}
}
