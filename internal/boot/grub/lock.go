package grub

import (
	"fmt"
	"os"
	"syscall"

	"github.com/moult-ota/moult/internal/boot/variables"
)

// lockPath is the lock of Mender's grub-mender-grubenv-set.
const lockPath = "/var/lock/grub-mender-grubenv-set.lock"

// locked keeps that program and the Store apart. Where the lock cannot be
// made, as in an initrd, nobody else is there to take it.
type locked struct{ variables.Store }

func (l locked) Read() (s variables.Set, err error) {
	err = hold(func() error { s, err = l.Store.Read(); return err })
	return s, err
}

func (l locked) Write(s variables.Set) error {
	return hold(func() error { return l.Store.Write(s) })
}

func hold(f func() error) error {
	lock, err := os.OpenFile(lockPath, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return f()
	}
	defer lock.Close()
	for {
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX)
		if err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("lock environment: %w", err)
	}
	return f()
}
