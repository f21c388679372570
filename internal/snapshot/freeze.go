package snapshot

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// A Freezer holds back the writers of a mounted file system.
type Freezer interface {
	// Freeze returns when everything is on the device and writers wait.
	// They wait until thaw is called; the kernel has no time limit.
	Freeze(mount string) (thaw func() error, err error)
}

// Kernel is the real Freezer. It needs root's rights. A guard thaws when this
// process is killed.
type Kernel struct{}

const (
	ioctlFreeze = 0xC0045877 // FIFREEZE: _IOWR('X', 119, int), the same number everywhere
	ioctlThaw   = 0xC0045878 // FITHAW: _IOWR('X', 120, int)
)

func (Kernel) Freeze(mount string) (func() error, error) {
	dir, err := os.Open(mount)
	if err != nil {
		return nil, fmt.Errorf("freeze %s: %w", mount, err)
	}
	g, err := startGuard(mount)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("freeze %s: %w", mount, err), dir.Close())
	}
	if err := ioctl(dir, ioctlFreeze); err != nil {
		return nil, errors.Join(fmt.Errorf("freeze %s: %w", mount, err), g.dismiss(), dir.Close())
	}
	return func() error {
		defer dir.Close()
		if err := ioctl(dir, ioctlThaw); err != nil {
			_ = g.in.Close() // it tries, too
			return fmt.Errorf("thaw %s: %w; try fsfreeze -u %s, or SysRq j", mount, err, mount)
		}
		_ = g.dismiss() // it is thawed, whatever the guard says
		return nil
	}, nil
}

func ioctl(f *os.File, request uintptr) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), request, 0); errno != 0 {
		return errno
	}
	return nil
}
