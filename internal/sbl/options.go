package sbl

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/moult-ota/moult/internal/atomicfile"
)

// DefaultConfig is where the loader's options stand in its initrd.
const DefaultConfig = "/etc/moult/sbl.conf"

// maxConfig bounds that file, in bytes.
const maxConfig = 64 << 10

// Options say how a board starts. They stand in a file of lines "name value",
// then on the program's command line; the later wins, and a name that is not
// known is an error.
type Options struct {
	Disk    string        // device that holds the partitions
	Wait    time.Duration // for Disk to appear
	Prefix  string        // of partition names: PREFIX-register, PREFIX-a, PREFIX-b
	Keys    string        // PEM files whose keys may sign images, with commas; empty: no signature is asked for
	Floor   uint          // no image whose signed security version is lower; needs Keys
	Modules string        // folder of kernel modules, loaded in order of name; none when empty
	Console string        // where messages go and the door opens

	FS     string // file system of a slot; empty: the slot is not looked into
	Kernel string // in the slot
	Initrd string // in the slot; empty: none
	Append string // to the slot's kernel command line

	Watchdog string        // device; empty: none
	Bite     time.Duration // of the watchdog, unless the slot feeds it in time

	Recover    string // URL to fetch a signed artifact from when there is nothing to start; empty: nothing is fetched
	DeviceType string // that the artifact must be for
	Interface  string // of the network
	Address    string // "10.0.2.15/24 gateway 10.0.2.2"; empty: somebody else sets it
	NetUp      string // program that brings the network up; its argument is Interface

	Door  string        // program to run when there is nothing to start
	Pause time.Duration // before another look when there is no door
}

func (o *Options) flags() *flag.FlagSet {
	f := flag.NewFlagSet("moult-sbl", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&o.Disk, "disk", "/dev/vda", "`device` with a GUID partition table that holds register and slots")
	f.DurationVar(&o.Wait, "wait", 10*time.Second, "`time` for the disk to appear")
	f.StringVar(&o.Prefix, "prefix", "moult", "partitions are called `PREFIX`-register, PREFIX-a and PREFIX-b")
	f.StringVar(&o.Keys, "verify-keys", "", "PEM `files` of the keys that may sign images, with commas; none: only digests are checked")
	f.UintVar(&o.Floor, "floor", 0, "lowest security `version` that may start, as it was signed, whatever the register says; needs verify-keys")
	f.StringVar(&o.Modules, "modules", "/lib/modules", "`folder` of kernel modules, loaded in order of their names")
	f.StringVar(&o.Console, "console", "/dev/console", "`device` for messages, and for the door")
	f.StringVar(&o.FS, "fs", "ext4", "file `system` of the slots, mounted read-only")
	f.StringVar(&o.Kernel, "kernel", "boot/vmlinuz", "`path` of the kernel in a slot")
	f.StringVar(&o.Initrd, "initrd", "boot/initrd.img", "`path` of the initrd in a slot; empty: none")
	f.StringVar(&o.Append, "append", "ro panic=10", "kernel command line of the slots; moult.slot= and root= are added")
	f.StringVar(&o.Watchdog, "watchdog", "/dev/watchdog", "`device`, armed before the jump where there is one")
	f.DurationVar(&o.Bite, "watchdog-time", time.Minute, "`time` that a slot has to feed the watchdog")
	f.StringVar(&o.Recover, "recover", "", "`URL` of a signed artifact, http://ADDRESS[:PORT]/PATH, fetched when nothing can be started; {device_type} and {mac} are filled in")
	f.StringVar(&o.DeviceType, "device-type", "", "device `type` that a fetched artifact must be for")
	f.StringVar(&o.Interface, "interface", "eth0", "network `interface` to fetch through")
	f.StringVar(&o.Address, "address", "", "`address` of the interface, \"ADDRESS/BITS [gateway ADDRESS]\"; empty: the kernel or net-up sets it")
	f.StringVar(&o.NetUp, "net-up", "", "`program` that brings the network up; it is called with the interface")
	f.StringVar(&o.Door, "door", "", "`program` to run on the console when nothing can be started")
	f.DurationVar(&o.Pause, "pause", 30*time.Second, "`time` before another look when nothing can be started")
	return f
}

// load reads the file at path, and then args. A missing file is an error only
// when need is set.
func load(path string, need bool, args []string) (Options, []string, error) {
	var o Options
	f := o.flags()
	text, err := atomicfile.Read(path, maxConfig)
	switch {
	case err == nil:
		err = lines(f, string(text))
	case !need:
		err = nil
	}
	if err != nil {
		return o, nil, fmt.Errorf("read options: %w", err)
	}
	if err := f.Parse(args); err != nil {
		return o, nil, fmt.Errorf("read options: %w", err)
	}
	return o, f.Args(), o.check()
}

// lines sets flags from a text of lines "name value". Empty lines and those
// that begin with # say nothing.
func lines(f *flag.FlagSet, text string) error {
	for n, line := range strings.Split(text, "\n") {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "" || name[0] == '#' {
			continue
		}
		if err := f.Set(name, strings.TrimSpace(value)); err != nil {
			return fmt.Errorf("line %d: %s: %w", n+1, name, err)
		}
	}
	return nil
}

func (o Options) check() error {
	if o.Disk == "" || o.Prefix == "" || o.Kernel == "" || o.FS == "" {
		return errors.New("read options: disk, prefix, fs and kernel may not be empty")
	}
	if o.Floor > 0 && o.Keys == "" {
		return errors.New("read options: floor needs verify-keys: without a signature a slot may claim what it likes")
	}
	return nil
}
