// Vm runs one virtual machine that a boot loader starts and moult-agent
// updates, with its console on the terminal. The server is a real one, on this
// machine.
package main

import (
	"fmt"
	"os"
	"os/signal"
)

func main() {
	name := "sbl"
	if len(os.Args) > 1 {
		name = os.Args[1]
	}
	if err := show(name); err != nil {
		fmt.Fprintln(os.Stderr, "vm:", err)
		os.Exit(1)
	}
}

// show makes a machine with release v1, publishes v2, and lets whoever watches
// deploy it.
func show(name string) error {
	b, ok := boards[name]
	if !ok {
		return fmt.Errorf("no machine %q; there are sbl, uboot and grub", name)
	}
	p, err := gather()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "vm")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d, err := p.open(b, dir)
	if err != nil {
		return err
	}
	defer d.close()
	disk, err := d.factory(release{name: "v1"})
	if err == nil {
		err = d.publish(release{name: "v2"})
	}
	if err != nil {
		return err
	}
	plug, err := newPlug(disk, d.path("socket"))
	if err != nil {
		return err
	}
	defer plug.close()
	fmt.Printf("In another terminal:\n  export MOULT_SERVER=%s MOULT_TOKEN=%s\n", d.url, d.token)
	fmt.Printf("  %[1]s device accept $(%[1]s device list -o name); %[1]s deploy create v2 --all --wait\nCtrl-C ends it.\n\n", d.moult)
	m, err := d.power(d.path("socket"), os.Stdout)
	if err != nil {
		return err
	}
	defer m.off()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt)
	<-stop
	return nil
}
