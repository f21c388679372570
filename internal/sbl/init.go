package sbl

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moult-ota/moult/internal/atomicfile"
	"github.com/moult-ota/moult/internal/boot"
)

// run is the life of process 1. It must not end: the kernel would panic.
func run(args []string) {
	dev := mount("devtmpfs", "/dev", "devtmpfs", 0)
	o, _, err := load(DefaultConfig, true, args)
	c := console(o.Console)
	fmt.Fprintln(c, "moult-sbl: starting")
	say(c, errors.Join(dev, err))
	if err == nil {
		say(c, modules(o.Modules))
	}
	for {
		if err == nil && look(o, c) {
			continue
		}
		knock(o, c)
	}
}

// look looks at the board, and reports whether to look again at once: it was
// given an image.
func look(o Options, c *os.File) bool {
	nothing, err := once(o, c)
	say(c, err)
	if !nothing || o.Recover == "" {
		return false
	}
	err = recoverBoard(o, c)
	say(c, err)
	return err == nil
}

func say(w io.Writer, err error) {
	if err != nil {
		fmt.Fprintf(w, "moult-sbl: %v\n", err)
	}
}

func console(path string) *os.File {
	if f, err := os.OpenFile(path, os.O_RDWR, 0); err == nil {
		return f
	}
	return os.Stdout
}

// once looks at the board and starts what is to be started. It returns when
// that is nothing, or cannot be started.
func once(o Options, c io.Writer) (nothing bool, err error) {
	b, err := settled(o)
	if err != nil {
		return false, err
	}
	env, disk, err := b.register()
	if err != nil {
		return false, err
	}
	d, err := boot.Boot(env, b.look(o.verifier(), says(c, o.Keys != "")))
	say(c, errors.Join(err, disk.Close()))
	printDecision(c, d)
	if d.Action != boot.Run {
		return true, nil
	}
	err = start(o, b, d.Slot, c)
	if d.Slot == d.Vars.Trial { // the next boot counts on, and falls back in the end
		say(c, err)
		time.Sleep(time.Second)
		return false, restart()
	}
	return false, err
}

// settled waits for the disk.
func settled(o Options) (b board, err error) {
	for end := time.Now().Add(o.Wait); ; time.Sleep(50 * time.Millisecond) {
		if b, err = find(o); err == nil {
			_, err = os.Stat(b.path(b.state))
		}
		if err == nil || time.Now().After(end) {
			return b, err
		}
	}
}

// modules loads every kernel module of a folder, in order of name, with the
// parameters in a file beside it: 05-watchdog.ko.params.
func modules(dir string) error {
	paths, _ := filepath.Glob(filepath.Join(dir, "*.ko"))
	var errs []error
	for _, path := range paths {
		if err := module(path); err != nil {
			errs = append(errs, fmt.Errorf("load module %s: %w", path, err))
		}
	}
	return errors.Join(errs...)
}

func module(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	params, err := atomicfile.Read(path+".params", maxConfig)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := unix.FinitModule(int(f.Fd()), strings.TrimSpace(string(params)), 0); !errors.Is(err, unix.EEXIST) {
		return err
	}
	return nil
}

// knock opens the door: whoever is at the console may repair the board, or
// fetch an image. Afterwards the board is looked at again.
func knock(o Options, c *os.File) {
	if o.Door != "" {
		fmt.Fprintf(c, "moult-sbl: nothing to start; running %s, its end means another look\n", o.Door)
		door := exec.Command(o.Door)
		door.Stdin, door.Stdout, door.Stderr = c, c, c
		say(c, door.Run())
		time.Sleep(time.Second)
		return
	}
	fmt.Fprintf(c, "moult-sbl: nothing to start; another look in %v\n", o.Pause)
	time.Sleep(o.Pause)
}

// restart resets the machine.
func restart() error { return unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART) }

func mount(what, where, fs string, flags uintptr) error {
	if err := os.MkdirAll(where, 0o755); err != nil {
		return fmt.Errorf("mount %s: %w", what, err)
	}
	opts := ""
	if fs == "ext4" {
		opts = "noload" // a journal that was replayed would change the image
	}
	if err := unix.Mount(what, where, fs, flags, opts); err != nil && !errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("mount %s: %w", what, err)
	}
	return nil
}
