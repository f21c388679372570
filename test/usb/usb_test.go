//go:build vm

package main

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/moult-ota/moult/test/debkernel"
)

// cache is shared with the machines of test/sblvm.
const cache = "../../.cache/sblvm"

// most is how long the machine may take on a slow computer; 20 seconds are
// usual.
const most = 4 * time.Minute

// modules make USB, and plug in what is at the other end of a socket.
var modules = []string{"usb-common", "usbcore", "usbip-core", "vhci-hcd"}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func sh(t *testing.T, dir, line string) string {
	t.Helper()
	c := exec.Command("sh", "-c", line)
	c.Dir = dir
	out, err := c.Output()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		t.Fatalf("%s: %v: %s", line, err, exit.Stderr)
	}
	ok(t, err)
	return string(out)
}

func copyTo(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	ok(t, err)
	ok(t, os.MkdirAll(filepath.Dir(to), 0o755))
	ok(t, os.WriteFile(to, text, 0o755))
}

// initrd has this program, once more for 32 bits, the modules, and dfu-util
// with its libraries.
func initrd(t *testing.T, k debkernel.Kernel) string {
	t.Helper()
	root, file := t.TempDir(), t.TempDir()+"/initrd"
	sh(t, ".", "CGO_ENABLED=0 GOARCH=amd64 go build -trimpath -o "+root+"/init . && CGO_ENABLED=0 GOARCH=386 go build -trimpath -o "+root+"/host32 .")
	for n, name := range modules {
		path, err := k.Module(name)
		ok(t, err)
		copyTo(t, path, root+"/modules/"+string(rune('0'+n))+"-"+name+".ko")
	}
	util, err := exec.LookPath("dfu-util")
	ok(t, err)
	copyTo(t, util, root+"/usr/bin/dfu-util")
	for _, lib := range regexp.MustCompile(`/\S+`).FindAllString(sh(t, ".", "ldd "+util), -1) {
		copyTo(t, lib, root+lib)
	}
	busybox, err := filepath.Abs(k.Busybox)
	ok(t, err)
	sh(t, root, "find . | "+busybox+" cpio -o -H newc -R 0:0 2>/dev/null | gzip -1 > "+file)
	return file
}

// TestLinux is a PC under QEMU, without hardware acceleration, in which every
// story ends well.
func TestLinux(t *testing.T) {
	k, err := debkernel.Fetch(cache)
	ok(t, err)
	image := initrd(t, k)
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	began := time.Now()
	c := exec.CommandContext(ctx, "qemu-system-x86_64", "-M", "pc", "-accel", "tcg", "-cpu", "max", "-m", "384", "-nographic", "-nodefaults", "-serial", "stdio",
		"-no-reboot", "-kernel", k.Image, "-initrd", image, "-append", "console=ttyS0 quiet panic=-1")
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	ok(t, err)
	ok(t, c.Start())
	good, end := 0, false
	var said strings.Builder
	for s := bufio.NewScanner(out); s.Scan(); {
		said.WriteString(s.Text() + "\n")
		_, line, ours := strings.Cut(s.Text(), "usb: ")
		switch {
		case !ours:
		case strings.HasPrefix(line, "ok "):
			good++
			t.Log(line)
		case line == "the end":
			end = true
		default:
			t.Error(line)
		}
	}
	err = c.Wait()
	if err != nil || !end || good != len(stories) {
		t.Errorf("%d of %d stories ended well; QEMU: %v; the console said\n%s", good, len(stories), err, said.String()[max(0, said.Len()-6000):])
	}
	t.Logf("the machine took %v", time.Since(began).Round(100*time.Millisecond))
}
