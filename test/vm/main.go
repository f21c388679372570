// Vm runs one virtual machine that moult-sbl starts and moult-agent updates,
// with its console on the terminal. The server is a real one, on this machine.
package main

import (
	"fmt"
	"os"
	"os/signal"
)

func main() {
	if err := show(); err != nil {
		fmt.Fprintln(os.Stderr, "vm:", err)
		os.Exit(1)
	}
}

// show makes a machine with release v1, publishes v2, and lets whoever watches
// deploy it.
func show() error {
	p, err := gather()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "vm")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d, err := p.open(dir)
	if err != nil {
		return err
	}
	defer d.close()
	disk, err := d.factory(p, release{name: "v1"})
	if err == nil {
		err = d.publish(p, release{name: "v2"})
	}
	if err == nil {
		err = p.bootInitrd(d.path("release.pub"), dir+"/boot.img")
	}
	if err != nil {
		return err
	}
	fmt.Printf("In another terminal:\n  export MOULT_SERVER=%s MOULT_TOKEN=%s\n", d.url, d.token)
	fmt.Printf("  %[1]s device accept $(%[1]s device list -o name); %[1]s deploy create v2 --all --wait\nCtrl-C ends it.\n\n", d.moult)
	m, err := p.power(disk.Path, dir+"/boot.img", os.Stdout)
	if err != nil {
		return err
	}
	defer m.off()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt)
	<-stop
	return nil
}
