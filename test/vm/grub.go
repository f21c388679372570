package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
)

// A grubBoard has a BIOS that starts GRUB from the disk.
type grubBoard struct{}

// core are the modules in GRUB's core image: all that moult.cfg uses.
const core = "biosdisk part_gpt ext2 normal configfile loadenv linux probe regexp test echo sleep reboot serial terminal minicmd"

// grubConf is the board's own grub.cfg.
const grubConf = `serial --unit=0 --speed=115200
terminal_input serial
terminal_output serial
set moult_args="console=ttyS0 quiet panic=1"
source $prefix/moult.cfg
`

func (grubBoard) parts() []part {
	return append(append([]part{{"boot", 8}}, slotsAndData...), part{"bios", 1})
}

func (grubBoard) settings() []string {
	return []string{`"boot": "grub"`, `"boot_env": "/boot/loader/grub"`}
}

func (b grubBoard) setup() string {
	return "$b mount -t ext4 " + device(b, "boot") + " /boot/loader\n"
}

// factory makes the folder that GRUB reads. Its file system is made when the
// agent has put its variables there.
func (b grubBoard) factory(d *desk, dir string) ([]string, error) {
	t := tree{dir: dir + "/files"}
	t.text("grub/grub.cfg", grubConf)
	t.copy("grub/moult.cfg", "contrib/grub/moult.cfg")
	return []string{"--boot", "grub", "--boot-env", dir + "/files/grub", "--boot-parts", device(b, "moult-a")[8:] + "," + device(b, "moult-b")[8:]}, t.err
}

// install does what grub-bios-setup does: boot.img into sector 0, where the
// partition table stays, and the core image into a partition of its own; each
// is told where the next one begins.
func (grubBoard) install(d *desk, disk *disk) error {
	from := d.parts.root + "/usr/lib/grub/i386-pc"
	args := append([]string{"-O", "i386-pc", "-d", from, "-p", "(hd0,gpt1)/grub", "-o", d.path("core.img")}, strings.Fields(core)...)
	if _, err := run(".", "grub-mkimage", args...); err != nil {
		return err
	}
	image, err := os.ReadFile(d.path("core.img"))
	if err != nil {
		return err
	}
	boot, err := os.ReadFile(from + "/boot.img")
	if err != nil {
		return err
	}
	at := uint64(disk.parts["bios"].Start / 512)
	binary.LittleEndian.PutUint64(boot[0x5c:], at)
	binary.LittleEndian.PutUint64(image[500:], at+1)
	if err := disk.fill("bios", image); err != nil {
		return err
	}
	return disk.write(boot[:440], 0)
}

func (grubBoard) firmware(*desk) []string { return nil }

// variables reads both copies of the environment in the image of the disk,
// with debugfs.
func (grubBoard) variables(disk *disk) (string, error) {
	var out strings.Builder
	for _, name := range []string{"mender_grubenv1/lock", "mender_grubenv1/env", "mender_grubenv2/lock", "mender_grubenv2/env"} {
		text, err := run(".", "debugfs", "-R", "cat /grub/"+name, fmt.Sprintf("%s?offset=%d", disk.path, disk.parts["boot"].Start))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&out, "%s:\n%s\n", name, strings.TrimRight(text, "#"))
	}
	return out.String(), nil
}
