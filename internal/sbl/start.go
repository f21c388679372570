package sbl

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moult-ota/moult/internal/sbl/gpt"
	"github.com/moult-ota/moult/internal/slot"
)

// inside is where a slot is mounted while its kernel is read.
const inside = "/slot"

// commandLine is what the slot's kernel is told. The agent reads moult.slot=.
func commandLine(o Options, p gpt.Partition, s slot.Slot) string {
	return strings.TrimSpace(fmt.Sprintf("%s moult.slot=%v root=PARTUUID=%s", o.Append, s, p.PartUUID()))
}

// start loads the kernel of a slot whose image was checked, arms the watchdog
// and jumps. It returns only when that did not work.
func start(o Options, b board, s slot.Slot, c io.Writer) error {
	p := b.parts[s]
	if err := mount(b.path(p), inside, o.FS, unix.MS_RDONLY|unix.MS_NODEV|unix.MS_NOSUID|unix.MS_NOEXEC); err != nil {
		return fmt.Errorf("start slot %v: %w", s, err)
	}
	line := commandLine(o, p, s)
	err := errors.Join(kexec(o, line), unix.Unmount(inside, 0))
	if err != nil {
		return fmt.Errorf("start slot %v: %w", s, err)
	}
	dog, err := watchdog(o.Watchdog, o.Bite)
	say(c, err)
	if dog {
		fmt.Fprintf(c, "moult-sbl: watchdog bites in %v\n", o.Bite)
	}
	fmt.Fprintf(c, "moult-sbl: jumping to slot %v: %s\n", s, line)
	unix.Sync()
	return fmt.Errorf("start slot %v: jump: %w", s, unix.Reboot(unix.LINUX_REBOOT_CMD_KEXEC))
}

// kexec gives kernel and initrd of the mounted slot to the kernel that runs.
func kexec(o Options, line string) error {
	root, err := os.OpenRoot(inside)
	if err != nil {
		return err
	}
	defer root.Close()
	kernel, err := root.Open(filepath.Clean(o.Kernel))
	if err != nil {
		return err
	}
	defer kernel.Close()
	if o.Initrd == "" {
		return kexecLoad(int(kernel.Fd()), -1, line, noInitrd)
	}
	initrd, err := root.Open(filepath.Clean(o.Initrd))
	if err != nil {
		return err
	}
	defer initrd.Close()
	return kexecLoad(int(kernel.Fd()), int(initrd.Fd()), line, 0)
}

// watchdog arms a watchdog and leaves it armed: closing it without the letter
// V does not stop it. It reports whether there was one.
func watchdog(path string, bite time.Duration) (bool, error) {
	if path == "" {
		return false, nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("arm watchdog: %w", err)
	}
	defer f.Close()
	if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.WDIOC_SETTIMEOUT, int(bite/time.Second)); err != nil {
		return true, fmt.Errorf("arm watchdog: %w", err)
	}
	_, err = f.Write([]byte{0})
	return true, err
}
