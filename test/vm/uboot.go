package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/moult-ota/moult/internal/boot/uboot"
)

// A ubootBoard has Debian's U-Boot for QEMU as its firmware. It was built
// without a place for its environment; blocks.cmd keeps one.
type ubootBoard struct{}

// envSize is that of a copy of the environment, in bytes; see blocks.cmd.
const envSize = 0x4000

func (ubootBoard) parts() []part {
	return append([]part{{"boot", 4}, {"env1", 1}, {"env2", 1}}, slotsAndData...)
}

func (ubootBoard) settings() []string {
	return []string{`"boot": "uboot"`, `"boot_env": "/tmp/fw_env.config"`}
}

func (b ubootBoard) setup() string {
	return fmt.Sprintf("printf '%[1]s 0 %[3]x\\n%[2]s 0 %[3]x\\n' >/tmp/fw_env.config\n", device(b, "env1"), device(b, "env2"), envSize)
}

// factory makes an environment as the boot script would at its first start.
func (b ubootBoard) factory(d *desk, dir string) ([]string, error) {
	var script strings.Builder
	for _, name := range []string{"qemu-x86", "blocks", "boot"} {
		text, err := os.ReadFile("contrib/u-boot/" + name + ".cmd")
		if err != nil {
			return nil, err
		}
		script.Write(text)
	}
	t := tree{dir: dir}
	t.text("files/all.cmd", script.String())
	t.text("text", "mender_saveenv_canary=1\n")
	t.text("env2", strings.Repeat("\x00", envSize))
	t.text("fw_env.config", fmt.Sprintf("%s/env1 0 %x\n%[1]s/env2 0 %[2]x\n", dir, envSize))
	if t.err != nil {
		return nil, t.err
	}
	if _, err := run(dir, "mkenvimage", "-r", "-s", fmt.Sprint(envSize), "-o", "env1", "text"); err != nil {
		return nil, err
	}
	if _, err := run(dir, "mkimage", "-A", "x86", "-T", "script", "-d", "files/all.cmd", "files/boot.scr"); err != nil {
		return nil, err
	}
	return []string{"--boot", "uboot", "--boot-env", dir + "/fw_env.config", "--boot-parts", device(b, "moult-a")[8:] + "," + device(b, "moult-b")[8:]}, nil
}

func (ubootBoard) install(*desk, *disk) error { return nil }

func (ubootBoard) firmware(d *desk) []string {
	return []string{"-bios", d.parts.root + "/usr/lib/u-boot/qemu-x86/u-boot.rom"}
}

// variables reads the environment in the image of the disk.
func (ubootBoard) variables(disk *disk) (string, error) {
	config := disk.path + ".config"
	text := fmt.Sprintf("%s %d %x\n%[1]s %[4]d %[3]x\n", disk.path, disk.parts["env1"].Start, envSize, disk.parts["env2"].Start)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return "", err
	}
	s, err := uboot.Open(config)
	if err != nil {
		return "", err
	}
	set, err := s.Read()
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(set)) {
		fmt.Fprintf(&out, "%s=%s\n", name, set[name])
	}
	return out.String(), err
}
