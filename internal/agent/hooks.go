package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Limits of the programs that the agent runs.
const (
	maxHooks  = 64       // in one folder
	maxOutput = 64 << 10 // bytes kept of what one prints
	grace     = 5 * time.Second
)

// programs lists the executables of a folder by name. No folder is no programs.
func programs(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list programs: %w", err)
	}
	var paths []string
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		fi, err := os.Stat(path)
		if err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
			paths = append(paths, path)
		}
	}
	if len(paths) > maxHooks {
		return nil, fmt.Errorf("list programs: %d in %s, at most %d", len(paths), dir, maxHooks)
	}
	return paths, nil
}

// run runs a program in a process group of its own, and returns the beginning
// of what it printed. When ctx ends, the whole group is killed.
func run(ctx context.Context, path string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, path, args...)
	out := &capped{left: maxOutput}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = grace
	err := cmd.Run()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return out.kept.Bytes(), fmt.Errorf("run %s: %w", path, err)
	}
	return out.kept.Bytes(), nil
}

// capped keeps what fits and forgets the rest.
type capped struct {
	kept bytes.Buffer
	left int
}

func (c *capped) Write(p []byte) (int, error) {
	keep := p[:min(len(p), c.left)]
	c.left -= len(keep)
	c.kept.Write(keep)
	return len(p), nil
}

// healthOf returns the self-test of a folder: all its programs exit 0 in time.
func healthOf(dir string, limit time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("the checks took longer than %v", limit))
		defer cancel()
		paths, err := programs(dir)
		if err != nil {
			return err
		}
		for _, path := range paths {
			if out, err := run(ctx, path); err != nil {
				return fmt.Errorf("%w: %s", err, lastLine(out))
			}
		}
		return nil
	}
}

func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}

// pairs reads key=value lines; a repeated key becomes a list.
func pairs(text string) map[string]any {
	all := map[string]any{}
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || key == "" {
			continue
		}
		switch had := all[key].(type) {
		case nil:
			all[key] = value
		case string:
			all[key] = []any{had, value}
		case []any:
			all[key] = append(had, value)
		}
	}
	return all
}
