package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
)

// A machine is a PC under QEMU, without hardware acceleration.
type machine struct{ c *exec.Cmd }

// power starts a machine with a disk. What its console says goes to out.
func (p parts) power(disk, initrd string, out io.Writer) (*machine, error) {
	c := exec.Command("qemu-system-x86_64", "-M", "pc", "-accel", "tcg", "-cpu", "max", "-m", "512", "-nographic", "-nodefaults",
		"-serial", "stdio", "-kernel", p.kernel, "-initrd", initrd, "-append", "console=ttyS0 quiet panic=1",
		"-drive", "if=virtio,format=raw,file="+disk, "-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile=")
	c.Stdout, c.Stderr = out, os.Stderr
	if err := c.Start(); err != nil {
		return nil, fmt.Errorf("start machine: %w", err)
	}
	return &machine{c}, nil
}

// off pulls the plug.
func (m *machine) off() {
	_ = m.c.Process.Kill()
	_ = m.c.Wait()
}
