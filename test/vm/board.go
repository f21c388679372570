package main

import (
	"fmt"
	"strings"
)

// A board is a boot loader, with what differs because of it.
type board interface {
	// parts are the partitions of a disk, in their order.
	parts() []part
	// settings are what the agent is told of the loader, on the device.
	settings() []string
	// factory fills dir with files that are named as the loader's own
	// partitions, and with a folder "files" for what is a file system in the
	// first one. It returns what moult-agent provision is told of them.
	factory(d *desk, dir string) ([]string, error)
	// install puts onto a disk what lies outside of its partitions.
	install(d *desk, disk *disk) error
	// firmware are QEMU's arguments.
	firmware(d *desk) []string
	// setup are lines of a slot's init.
	setup() string
	// variables is what the loader has, as seen on a disk without power.
	variables(disk *disk) (string, error)
}

// A part is a partition, of size MiB.
type part struct {
	name string
	size int64
}

// slots and data every board has. The names are moult-sbl's.
var slotsAndData = []part{{"moult-a", slotSize}, {"moult-b", slotSize}, {"moult-data", dataSize}}

// boards are the machines that there are.
var boards = map[string]board{"sbl": sblBoard{}, "uboot": ubootBoard{}, "grub": grubBoard{}}

// device is the partition of that name as Linux calls it.
func device(b board, name string) string {
	for i, p := range b.parts() {
		if p.name == name {
			return fmt.Sprintf("/dev/vda%d", i+1)
		}
	}
	panic("no partition " + name)
}

// agentConf is the agent's configuration.
func agentConf(b board, server string) string {
	lines := []string{
		`"servers": ["` + server + `"]`, `"device_type": "vm"`, `"verify_keys": ["/etc/moult/release.pub"]`, `"state_dir": "/data/moult"`,
		`"slot_a": "` + device(b, "moult-a") + `"`, `"slot_b": "` + device(b, "moult-b") + `"`,
		`"poll": "2s"`, `"retry": "1s"`, `"retry_max": "2s"`, `"trial": "2m"`, `"tries": 2`,
	}
	return "{\n  " + strings.Join(append(lines, b.settings()...), ",\n  ") + "\n}\n"
}
