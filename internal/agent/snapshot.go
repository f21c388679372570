package agent

import (
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"unsafe"

	"github.com/moult-ota/moult/internal/snapshot"
)

// copyFlags are those of snapshot.
type copyFlags struct {
	source, compression string
	require             bool
}

func (c *copyFlags) flags(f *flag.FlagSet) {
	f.StringVar(&c.source, "source", "/", "snapshot: directory, block device or file to copy")
	f.StringVar(&c.compression, "C", "none", "snapshot: none or gzip")
	f.BoolVar(&c.require, "require-freeze", false, "snapshot: fail when the file system cannot be frozen")
}

// snapshot streams a frozen file system to standard output. While it is
// frozen nothing may be written to it, also not by this program.
func (p *program) snapshot(ctx context.Context) (int, error) {
	if err := p.none(); err != nil {
		return 0, err
	}
	if p.copy.compression != "none" && p.copy.compression != "gzip" {
		return 0, fmt.Errorf("%w: -C %s: none or gzip", errUsage, p.copy.compression)
	}
	s, err := snapshot.Find(p.copy.source)
	if err == nil {
		err = p.mayFreeze(s)
	}
	if err != nil {
		return 0, err
	}
	signal.Ignore(syscall.SIGPIPE) // a reader that is gone is an error, and the thaw follows
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP, syscall.SIGQUIT)
	defer stop()
	return exitOK, p.pour(ctx, s)
}

// mayFreeze refuses what this program would block itself with.
func (p *program) mayFreeze(s snapshot.Source) error {
	for _, w := range []io.Writer{p.stdout, p.stderr} {
		if f, ok := w.(*os.File); ok && s.Mount != "" && s.HoldsFile(f) {
			return fmt.Errorf("freeze %s: the output goes to a file on it; send it elsewhere", s.Mount)
		}
	}
	if f, ok := p.stdout.(*os.File); ok && terminal(f) {
		return errors.New("snapshot: an image is not for a terminal; pipe it into a file")
	}
	if s.Mount != "" && s.Holds(p.config.StateDir) {
		return fmt.Errorf("freeze %s: the agent's own state, %s, lies on it", s.Mount, p.config.StateDir)
	}
	return nil
}

func terminal(f *os.File) bool {
	var settings syscall.Termios
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), syscall.TCGETS, uintptr(unsafe.Pointer(&settings)))
	return errno == 0
}

func (p *program) pour(ctx context.Context, s snapshot.Source) error {
	o := snapshot.Options{
		RequireFreeze: p.copy.require,
		Warn:          func(err error) { fmt.Fprintln(p.stderr, "moult-agent: warning:", err) },
	}
	if p.copy.compression == "none" {
		return snapshot.Stream(ctx, p.stdout, s, o)
	}
	z := gzip.NewWriter(p.stdout)
	if err := snapshot.Stream(ctx, z, s, o); err != nil {
		return err
	}
	return z.Close()
}
