// Package script keeps boot.Vars where a program keeps them: for boot loaders
// that have no package of their own. The program is somebody's; the contract:
//
//	PROGRAM get   prints the variables, one name=value on a line, and exits 0.
//	              Nothing printed means that none was ever set. When they
//	              cannot be read it exits otherwise.
//	PROGRAM set   reads such lines on its standard input, sets these variables
//	              in one step and keeps all others. It exits 0 only when they
//	              are stored: whatever a power cut leaves during set is the old
//	              variables or the new ones, and after it the new ones.
//
// Names have letters, digits and underscores; values are one line, with no
// quoting. What it prints to its standard error stands in the error when it
// fails. It has a minute, and runs as the agent does. The variables are those
// of package variables, whose FORMAT.md says what a loader does with them.
package script

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/moult-ota/moult/internal/boot/variables"
)

// Limits of the program.
const (
	DefaultTime = time.Minute
	maxOutput   = 64 << 10 // bytes that it may print
	maxError    = 512      // bytes of its standard error that are kept
)

// Errors for callers that branch.
var (
	ErrText = errors.New("no line can say this")
	ErrLine = errors.New("want lines of name=value")
)

// A Store is a variables.Store that a program keeps.
type Store struct {
	Program string
	Time    time.Duration // for one run; 0 means DefaultTime
}

var _ variables.Store = Store{}

// Read returns what the program prints for get.
func (s Store) Read() (variables.Set, error) {
	out, err := s.run("get", "")
	if err != nil {
		return nil, err
	}
	set := variables.Set{}
	for _, line := range strings.Split(out, "\n") {
		name, value, ok := strings.Cut(line, "=")
		switch {
		case line == "":
		case !ok || !isName(name):
			return nil, fmt.Errorf("run %s get: printed %.80q: %w", s.Program, line, ErrLine)
		default:
			set[name] = value
		}
	}
	return set, nil
}

// Write gives the variables of set to the program.
func (s Store) Write(set variables.Set) error {
	var lines strings.Builder
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if !isName(name) || strings.ContainsAny(set[name], "\n\x00") {
			return fmt.Errorf("set variable %q: %w", name, ErrText)
		}
		fmt.Fprintf(&lines, "%s=%s\n", name, set[name])
	}
	_, err := s.run("set", lines.String())
	return err
}

func isName(name string) bool {
	return name != "" && strings.Trim(name, "_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

func (s Store) run(verb, stdin string) (string, error) {
	limit := s.Time
	if limit == 0 {
		limit = DefaultTime
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.Program, verb)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // with what it started
	cmd.WaitDelay = time.Second
	out, said := &capped{most: maxOutput}, &capped{most: maxError}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), out, said
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		err = fmt.Errorf("took longer than %v", limit)
	case err == nil && out.over:
		err = fmt.Errorf("printed more than %d bytes", maxOutput)
	}
	if err != nil {
		return "", fmt.Errorf("run %s %s: %w%s", s.Program, verb, err, said.quoted())
	}
	return string(out.kept), nil
}

// capped keeps the first most bytes.
type capped struct {
	kept []byte
	most int
	over bool
}

func (c *capped) Write(p []byte) (int, error) {
	keep := min(len(p), c.most-len(c.kept))
	c.over = c.over || keep < len(p)
	c.kept = append(c.kept, p[:keep]...)
	return len(p), nil
}

func (c *capped) quoted() string {
	text := strings.TrimSpace(string(c.kept))
	if text == "" {
		return ""
	}
	return fmt.Sprintf(": it says %q", text)
}
