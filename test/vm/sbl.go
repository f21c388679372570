package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/moult-ota/moult/internal/sbl"
)

// An sblBoard starts moult-sbl in the initrd of a boot kernel.
type sblBoard struct{}

const sblConf = `disk /dev/vda
verify-keys /etc/moult/release.pub
append console=ttyS0 quiet ro panic=1
pause 3s
`

func (sblBoard) parts() []part { return append([]part{{"moult-register", 1}}, slotsAndData...) }

func (b sblBoard) settings() []string {
	return []string{`"register": "` + device(b, "moult-register") + `"`}
}

func (sblBoard) factory(d *desk, dir string) ([]string, error) {
	return []string{"--register", dir + "/moult-register"}, d.parts.bootInitrd(d.path("release.pub"), d.path("boot.img"))
}

func (sblBoard) install(*desk, *disk) error { return nil }
func (sblBoard) setup() string              { return "" }

func (sblBoard) firmware(d *desk) []string {
	return []string{"-kernel", d.parts.kernel, "-initrd", d.path("boot.img"), "-append", "console=ttyS0 quiet panic=1"}
}

// variables asks moult-sbl --dry-run.
func (sblBoard) variables(disk *disk) (string, error) {
	var out bytes.Buffer
	if code := sbl.Main([]string{"--dry-run", disk.path}, &out, &out); code != 0 {
		return "", fmt.Errorf("moult-sbl --dry-run exits with %d: %s", code, &out)
	}
	return out.String(), nil
}

// bootInitrd makes the initrd of the boot kernel: moult-sbl and what it needs
// to see the disk.
func (p parts) bootInitrd(key, path string) error {
	dir, err := os.MkdirTemp("", "vm")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	t := tree{dir: dir}
	t.copy("init", p.bin+"/moult-sbl")
	t.copy("bin/sh", p.busybox)
	t.text("etc/moult/sbl.conf", sblConf)
	t.copy("etc/moult/release.pub", key)
	for i, m := range p.modules[:len(disks)] {
		t.copy(fmt.Sprintf("lib/modules/%02d.ko", i), m)
	}
	if t.err != nil {
		return t.err
	}
	return initrd(dir, path)
}
