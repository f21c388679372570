package snapshot

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// GuardCommand is the first argument with which a program that calls Stream
// must call Guard with the second one, and do nothing else.
const GuardCommand = "snapshot-guard"

// Guard is the life of a process that thaws mount when the one that froze it
// is gone without having done so: a signal that kills leaves no time. in ends
// with that one; a byte before says that all is well. out is told that the
// guard is there.
func Guard(mount string, in io.Reader, out io.Writer) error {
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGPIPE)
	dir, err := os.Open(mount)
	if err != nil {
		return fmt.Errorf("guard %s: %w", mount, err)
	}
	defer dir.Close()
	if _, err := out.Write([]byte{'!'}); err != nil {
		return fmt.Errorf("guard %s: %w", mount, err)
	}
	if n, _ := in.Read(make([]byte, 1)); n > 0 {
		return nil
	}
	if err := ioctl(dir, ioctlThaw); err != nil && !errors.Is(err, syscall.EINVAL) { // EINVAL: not frozen
		return fmt.Errorf("thaw %s: %w", mount, err)
	}
	return nil
}

// A guard is that process, seen from the one that freezes.
type guard struct {
	cmd *exec.Cmd
	in  io.WriteCloser
}

// startGuard returns when the guard is there. It is in no group with this
// process, so that nothing ends both at once.
func startGuard(mount string) (*guard, error) {
	cmd := exec.Command("/proc/self/exe", GuardCommand, mount)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start guard: %w", err)
	}
	g := &guard{cmd, in}
	if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
		return nil, fmt.Errorf("start guard: %w", errors.Join(err, g.dismiss()))
	}
	return g, nil
}

// dismiss tells the guard that nothing is frozen.
func (g *guard) dismiss() error {
	_, err := g.in.Write([]byte{'.'})
	return errors.Join(err, g.in.Close(), g.cmd.Wait())
}
