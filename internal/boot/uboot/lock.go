package uboot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/moult-ota/moult/internal/boot/variables"
)

// lockPath is the lock of fw_printenv and fw_setenv.
const lockPath = "/var/lock/fw_printenv.lock"

const (
	lockTime = time.Minute // then whoever holds it hangs
	lockPoll = 20 * time.Millisecond
)

// locked keeps fw_setenv and the Store apart. Where the lock cannot be made,
// as in an initrd, nobody else is there to take it.
type locked struct {
	variables.Store
	path string
}

func (l locked) Read() (s variables.Set, err error) {
	err = l.hold(func() error { s, err = l.Store.Read(); return err })
	return s, err
}

func (l locked) Write(s variables.Set) error {
	return l.hold(func() error { return l.Store.Write(s) })
}

func (l locked) hold(f func() error) error {
	lock, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE, 0o644)
	if errors.Is(err, fs.ErrPermission) {
		lock, err = os.Open(l.path)
	}
	if err != nil {
		return f()
	}
	defer lock.Close()
	for end := time.Now().Add(lockTime); ; time.Sleep(lockPoll) {
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != syscall.EWOULDBLOCK && err != syscall.EINTR || time.Now().After(end) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("lock environment with %s: %w", l.path, err)
	}
	return f()
}
