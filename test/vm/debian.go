package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// cache keeps what comes from Debian, and what is built, between runs.
const cache = ".cache/vm"

// A parts box is what images are made of.
type parts struct {
	kernel  string   // file
	modules []string // files, in the order in which they are loaded
	busybox string
	bin     string // folder with our programs
	root    string // folder with what Debian's packages hold
}

// disks and cards are the modules that find a disk, and those that find the
// network too; ext4 is part of Debian's cloud kernel.
var (
	disks = []string{"virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk"}
	cards = []string{"failover", "net_failover", "virtio_net"}
)

// gather fetches Debian's packages, once, and builds our programs.
func gather() (parts, error) {
	_ = os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin") // for mke2fs
	if err := os.MkdirAll(cache+"/bin", 0o755); err != nil {
		return parts{}, err
	}
	if _, err := os.Stat(cache + "/root/usr/lib/grub"); err != nil {
		if err := fetch(); err != nil {
			return parts{}, err
		}
	}
	if err := build(); err != nil {
		return parts{}, err
	}
	return find()
}

// build builds the programs, those of devices as they are released.
func build() error {
	_, err := run(".", "env", "CGO_ENABLED=0", "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", cache+"/bin/", "./cmd/moult")
	for _, name := range []string{"moult-agent", "moult-sbl"} {
		_, berr := run(".", "cmd/"+name+"/build.sh", "go", "-s -w", cache+"/bin/")
		err = errors.Join(err, berr)
	}
	return err
}

// fetch unpacks the cloud kernel, busybox and the boot loaders; nothing is
// installed. Where apt does not know them, or no longer as they are, it looks
// for them once.
func fetch() error {
	err := download()
	if err != nil {
		if _, update := run(".", "sh", "-c", "[ $(id -u) -eq 0 ] || s='sudo -n'; $s apt-get update -qq"); update != nil {
			return errors.Join(err, update)
		}
		err = download()
	}
	if err != nil {
		return err
	}
	debs, err := filepath.Glob(cache + "/debs/*.deb")
	for _, deb := range debs {
		if err == nil {
			_, err = run(".", "dpkg-deb", "-x", deb, cache+"/unpacked")
		}
	}
	if err == nil {
		err = os.RemoveAll(cache + "/root")
	}
	if err != nil {
		return err
	}
	return os.Rename(cache+"/unpacked", cache+"/root")
}

func download() error {
	if err := errors.Join(os.RemoveAll(cache+"/debs"), os.RemoveAll(cache+"/unpacked"), os.MkdirAll(cache+"/debs", 0o755)); err != nil {
		return err
	}
	out, err := run(".", "apt-cache", "depends", "linux-image-cloud-amd64")
	if err != nil {
		return err
	}
	_, kernel, ok := strings.Cut(out, "Depends: ")
	if !ok {
		return fmt.Errorf("look for the kernel's package: apt-cache said %q", out)
	}
	kernel, _, _ = strings.Cut(kernel, "\n")
	_, err = run(cache+"/debs", "apt-get", "download", kernel, "busybox-static", "u-boot-qemu", "grub-pc-bin")
	return err
}

func find() (parts, error) {
	p := parts{busybox: cache + "/root/bin/busybox", bin: cache + "/bin", root: cache + "/root"}
	kernels, _ := filepath.Glob(cache + "/root/boot/vmlinuz-*")
	if len(kernels) != 1 {
		return p, fmt.Errorf("look for a kernel in %s: %d found; remove the folder to fetch it again", cache, len(kernels))
	}
	p.kernel = kernels[0]
	for _, name := range append(disks, cards...) {
		path, err := run(".", "find", cache+"/root/lib/modules", "-name", name+".ko")
		if err != nil || path == "" {
			return p, fmt.Errorf("look for module %s: %q, %w", name, path, err)
		}
		p.modules = append(p.modules, strings.TrimSpace(path))
	}
	return p, nil
}

// run runs a program in a folder and returns what it printed.
func run(dir string, name string, args ...string) (string, error) {
	c := exec.Command(name, args...)
	c.Dir = dir
	var errs strings.Builder
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		return string(out), fmt.Errorf("run %s %s: %w: %s", name, strings.Join(args, " "), err, errs.String())
	}
	return string(out), nil
}
