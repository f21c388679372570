package module

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Limits of a call.
const (
	maxAnswer = 4 << 10  // bytes of standard output that are read
	maxChat   = 10 << 10 // bytes of standard error that are logged
	grace     = time.Minute
)

// command prepares a call of the module: its state, and the tree as argument
// and as working directory.
func (i *Installer) command(ctx context.Context, state string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, i.program, state, i.tree)
	cmd.Dir = i.tree
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = grace
	return cmd
}

// call runs one state and returns what the module printed.
func (i *Installer) call(ctx context.Context, state string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, i.o.Time)
	defer cancel()
	cmd := i.command(ctx, state)
	answer, chat := &capped{left: maxAnswer}, &capped{left: maxChat}
	cmd.Stdout, cmd.Stderr = answer, chat
	err := cmd.Run()
	i.note(state, chat)
	if err == nil {
		return answer.String(), nil
	}
	if ctx.Err() != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what it left behind
		err = ctx.Err()
	}
	return "", fmt.Errorf("module %s %s: %w", i.o.Kind, state, err)
}

func (i *Installer) note(state string, chat *capped) {
	for line := range strings.Lines(chat.String()) {
		i.o.Log("info", state+": "+strings.TrimSpace(line))
	}
}

// ask runs a query. No answer is the first of words; an answer that is none
// of them is an error.
func (i *Installer) ask(ctx context.Context, query string, words ...string) (string, error) {
	out, err := i.call(ctx, query)
	if err != nil {
		return "", err
	}
	answer := strings.TrimSuffix(out, "\n")
	switch {
	case answer == "":
		return words[0], nil
	case slices.Contains(words, answer):
		return answer, nil
	}
	return "", fmt.Errorf("module %s %s: unexpected reply %.64q", i.o.Kind, query, answer)
}

// capped keeps what fits and forgets the rest.
type capped struct {
	kept bytes.Buffer
	left int
}

func (c *capped) String() string { return c.kept.String() }

func (c *capped) Write(p []byte) (int, error) {
	keep := p[:min(len(p), c.left)]
	c.left -= len(keep)
	c.kept.Write(keep)
	return len(p), nil
}
