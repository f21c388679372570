package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
)

// A machine is a PC under QEMU, without hardware acceleration.
type machine struct{ c *exec.Cmd }

// power starts a machine with the disk that is plugged in at a socket. What
// its console says goes to out.
func (d *desk) power(socket string, out io.Writer) (*machine, error) {
	args := []string{"-M", "pc", "-accel", "tcg,tb-size=256", "-cpu", "max", "-m", "512", "-nographic", "-nodefaults", "-serial", "stdio",
		"-drive", "if=virtio,format=raw,file=nbd:unix:" + socket, "-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile=,mac=" + d.mac()}
	c := exec.Command("qemu-system-x86_64", append(args, d.board.firmware(d)...)...)
	c.Stdout, c.Stderr = out, os.Stderr
	if err := c.Start(); err != nil {
		return nil, fmt.Errorf("start machine: %w", err)
	}
	return &machine{c}, nil
}

// mac is the address of the machine that is on: each has its own, which is its
// identity.
func (d *desk) mac() string { return fmt.Sprintf("52:54:00:12:34:%02x", 0x56+d.machine) }

// off pulls the plug.
func (m *machine) off() {
	_ = m.c.Process.Kill()
	_ = m.c.Wait()
}
