package server

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrLocked is wrapped when another server uses the data directory.
var ErrLocked = errors.New("data directory is in use")

// lock takes the data directory for this process until the file is closed;
// the kernel lets go of it when the process ends in whatever way.
func lock(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		return nil, fmt.Errorf("%w: another server (process %s) has %s; stop it, or give this one another --data", ErrLocked, holder(f), dir)
	}
	f.Truncate(0)
	fmt.Fprintf(f, "%d\n", os.Getpid())
	return f, nil
}

func holder(f *os.File) string {
	pid, _ := io.ReadAll(io.LimitReader(f, 20))
	return strings.TrimSpace(string(pid))
}
