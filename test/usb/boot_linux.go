package main

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// boot does what an init does: mounts, and loads the modules in /modules by
// their names' order.
func boot() error {
	for _, m := range [][2]string{{"devtmpfs", "/dev"}, {"proc", "/proc"}, {"sysfs", "/sys"}, {"tmpfs", "/tmp"}} {
		if err := os.MkdirAll(m[1], 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m[0], m[1], m[0], 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m[0], err)
		}
	}
	modules, err := filepath.Glob("/modules/*.ko")
	for _, m := range modules {
		text, rerr := os.ReadFile(m)
		if rerr == nil {
			rerr = unix.InitModule(text, "")
		}
		if rerr != nil {
			return fmt.Errorf("load %s: %w", m, rerr)
		}
	}
	return err
}

func off() { _ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF) }
