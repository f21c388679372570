package agent

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moult-ota/moult/internal/boot/grub"
	"github.com/moult-ota/moult/internal/boot/systemdboot"
)

// labels are the names that partitions for slots A and B, and for the boot
// register, have: ours first, then what others call theirs.
var labels = map[string][]string{
	"slot-a":   {"moult-a", "rootfs-a", "rootfsA", "rootA", "root-a", "system-a"},
	"slot-b":   {"moult-b", "rootfs-b", "rootfsB", "rootB", "root-b", "system-b"},
	"register": {"moult-register"},
}

// maxUevent bounds what the kernel says about a partition, in bytes.
const maxUevent = 4 << 10

// labeled finds the partition of a setting by its label; empty when there is
// none, or more than one disk has it. Where udev has linked it, the link says
// the same after disks are found in another order.
func labeled(root, setting string) string {
	said, _ := filepath.Glob(root + "/sys/class/block/*/uevent")
	for _, label := range labels[setting] {
		var found []string
		for _, path := range said {
			if slices.Contains(lines(path), "PARTNAME="+label) {
				found = append(found, filepath.Base(filepath.Dir(path)))
			}
		}
		if len(found) != 1 {
			continue
		}
		if link := root + "/dev/disk/by-partlabel/" + label; there(link) {
			return link
		}
		return root + "/dev/" + found[0]
	}
	return ""
}

func lines(path string) []string {
	text, err := os.ReadFile(path)
	if err != nil || len(text) > maxUevent {
		return nil
	}
	return strings.Split(string(text), "\n")
}

func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// kind finds the kind of boot loader by what it has on this device.
func kind(root string) string {
	if labeled(root, "register") != "" {
		return "register"
	}
	if there(root + "/etc/fw_env.config") {
		return "uboot"
	}
	for _, dir := range grub.Folders {
		if there(root + dir + "/mender_grubenv1") {
			return "grub"
		}
	}
	for _, dir := range systemdboot.Folders {
		if there(root + dir + "/loader/moult") {
			return "systemd-boot"
		}
	}
	return ""
}
