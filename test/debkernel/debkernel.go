// Package debkernel has Debian's generic kernel for virtual machines. Nothing
// is installed.
package debkernel

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A Kernel is what a machine starts from.
type Kernel struct {
	Image   string // file
	Modules string // folder
	Busybox string // file, static
}

// Fetch unpacks the kernel and busybox into a folder, where they are the next
// time. Where apt does not know them, or no longer as they are, it looks for
// them once.
func Fetch(cache string) (k Kernel, err error) {
	root := filepath.Join(cache, "root")
	if _, err := os.Stat(root + "/bin/busybox"); err != nil {
		if err = fetch(cache); err != nil {
			_, update := run(".", "sh", "-c", "[ $(id -u) -eq 0 ] || s='sudo -n'; $s apt-get update -qq")
			if err = errors.Join(err, update); update == nil {
				err = fetch(cache)
			}
		}
		if err != nil {
			return k, err
		}
	}
	images, _ := filepath.Glob(root + "/boot/vmlinuz-*")
	modules, _ := filepath.Glob(root + "/lib/modules/*")
	if len(images) != 1 || len(modules) != 1 {
		return k, fmt.Errorf("%s holds kernels %q and modules %q; remove it to fetch them again", cache, images, modules)
	}
	return Kernel{images[0], modules[0], root + "/bin/busybox"}, nil
}

// fetch has all of it in place at once, so that an interrupted one leaves
// nothing that looks complete.
func fetch(cache string) error {
	debs, fresh := cache+"/debs", cache+"/unpacked"
	if err := errors.Join(os.RemoveAll(debs), os.RemoveAll(fresh), os.RemoveAll(cache+"/root"), os.MkdirAll(debs, 0o755)); err != nil {
		return err
	}
	defer os.RemoveAll(debs)
	out, err := run(".", "apt-cache", "depends", "linux-image-amd64")
	if err != nil {
		return err
	}
	_, name, _ := strings.Cut(out, "Depends: ")
	name, _, _ = strings.Cut(name, "\n")
	if _, err = run(debs, "apt-get", "download", name, "busybox-static"); err != nil {
		return err
	}
	files, _ := filepath.Glob(debs + "/*.deb")
	for _, deb := range files {
		if _, err := run(".", "dpkg-deb", "-x", deb, fresh); err != nil {
			return err
		}
	}
	return os.Rename(fresh, cache+"/root")
}

// Module finds one by its name.
func (k Kernel) Module(name string) (string, error) {
	path, err := run(".", "find", k.Modules, "-name", name+".ko")
	if path = strings.TrimSpace(path); err == nil && path == "" {
		err = fmt.Errorf("no module %s in %s", name, k.Modules)
	}
	return path, err
}

func run(dir, name string, args ...string) (string, error) {
	c := exec.Command(name, args...)
	c.Dir = dir
	out, err := c.Output()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		err = fmt.Errorf("%s %q: %w: %s", name, args, err, exit.Stderr)
	}
	return string(out), err
}
