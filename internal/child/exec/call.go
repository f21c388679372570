package exec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/moult-ota/moult/internal/child"
)

// Limits of what a program says.
const (
	maxOutput = 64 << 10 // bytes of each stream
	maxReason = 200      // bytes of an error
	grace     = 5 * time.Second
)

// Exit codes with a meaning.
const (
	exitAway    = 10
	exitRefused = 11
	exitSelf    = 12
)

// An act is one run of the program.
type act struct {
	verb string
	args []string
	env  []string
	time time.Duration
	told func(int64) // hears of sent=; nil: no such lines
}

// errSlow ends a run that takes too long.
var errSlow = errors.New("it took too long")

// call runs the program in a process group of its own, and returns what it
// printed.
func (c *Child) call(ctx context.Context, a act) (string, error) {
	if c.o.Time != 0 {
		a.time = c.o.Time
	}
	ctx, cancel := context.WithTimeoutCause(ctx, a.time, errSlow)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.o.Program, append([]string{a.verb}, a.args...)...)
	cmd.Env = append(append(os.Environ(), "MOULT_CHILD="+c.o.ID, "MOULT_ADDRESS="+c.o.Address), a.env...)
	out, chat := &lines{told: a.told}, &capped{}
	cmd.Stdout, cmd.Stderr = out, chat
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = grace
	err := cmd.Run()
	switch {
	case errors.Is(context.Cause(ctx), errSlow):
		err = fmt.Errorf("%w: %w: %v", child.ErrAway, errSlow, a.time)
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case err != nil:
		err = meaning(err, a.verb, chat.last())
	case out.over:
		err = fmt.Errorf("it printed more than %d bytes", maxOutput)
	}
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", c.o.Program, a.verb, err)
	}
	return out.String(), nil
}

// meaning turns an exit code into what it says.
func meaning(err error, verb, reason string) error {
	exit := new(exec.ExitError)
	if errors.As(err, &exit) {
		switch code := exit.ExitCode(); {
		case code == exitAway:
			err = child.ErrAway
		case code == exitRefused:
			err = child.ErrRefused
		case code == exitSelf && verb == "confirm":
			return child.ErrSelf
		}
	}
	if reason == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, reason)
}

// capped keeps what fits and forgets the rest. Its buffer has a name, as
// os/exec would read into an embedded one past Write.
type capped struct {
	kept bytes.Buffer
	over bool
}

func (c *capped) String() string { return c.kept.String() }

func (c *capped) Write(p []byte) (int, error) {
	keep := p[:min(len(p), maxOutput-c.kept.Len())]
	c.over = c.over || len(keep) < len(p)
	c.kept.Write(keep)
	return len(p), nil
}

func (c *capped) last() string {
	text := strings.TrimSpace(c.String())
	line := text[strings.LastIndexByte(text, '\n')+1:]
	return strings.ToValidUTF8(line[:min(len(line), maxReason)], "")
}

// lines is standard output; with told, lines sent=N are heard as they come.
type lines struct {
	capped
	told func(int64)
	part []byte
}

func (l *lines) Write(p []byte) (int, error) {
	if l.told == nil {
		return l.capped.Write(p)
	}
	l.part = append(l.part, p...)
	for {
		line, rest, whole := bytes.Cut(l.part, []byte("\n"))
		if !whole {
			l.part = l.part[:min(len(l.part), maxReason)]
			return len(p), nil
		}
		if digits, ok := bytes.CutPrefix(line, []byte("sent=")); ok {
			if n, err := strconv.ParseInt(string(bytes.TrimSpace(digits)), 10, 64); err == nil && n >= 0 {
				l.told(n)
			}
		}
		l.part = rest
	}
}
