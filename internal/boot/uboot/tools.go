package uboot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/moult-ota/moult/internal/boot/variables"
)

// Limits of the programs.
const (
	toolTime = time.Minute // flash is slow, but not so slow
	maxTool  = 2 * maxSize // bytes that they may print
)

// Tools is a variables.Store that asks fw_printenv and fw_setenv, for flash
// with bad blocks or volumes, which they know. What a cut leaves is as they
// promise: the old variables or the new ones, when there are two copies.
type Tools struct {
	Config string // fw_env.config
}

var _ variables.Store = Tools{}

// Read returns what fw_printenv prints.
func (t Tools) Read() (variables.Set, error) {
	out, err := t.run("", "fw_printenv", "-c", t.Config)
	if err != nil {
		return nil, err
	}
	s := variables.Set{}
	for _, line := range strings.Split(out, "\n") {
		if name, value, ok := strings.Cut(line, "="); ok && name != "" {
			s[name] = value
		}
	}
	return s, nil
}

// Write sets the variables of s with one call of fw_setenv, and looks whether
// they are set: there are versions that expect another script.
func (t Tools) Write(s variables.Set) error {
	if _, err := t.Read(); err != nil {
		return err // else fw_setenv would begin with a default of its own
	}
	var script strings.Builder
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if err := sayable(name, s[name]); err != nil || strings.Contains(name+s[name], "\n") {
			return fmt.Errorf("write variable %q: %w", name, ErrText)
		}
		fmt.Fprintf(&script, "%s=%s\n", name, s[name])
	}
	if _, err := t.run(script.String(), "fw_setenv", "-c", t.Config, "-s", "-"); err != nil {
		return err
	}
	got, err := t.Read()
	if err != nil {
		return err
	}
	for name, value := range s {
		if got[name] != value {
			return fmt.Errorf("fw_setenv left %s=%q, want %q; libubootenv's is known to work", name, got[name], value)
		}
	}
	return nil
}

func (t Tools) run(stdin, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), toolTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin, cmd.WaitDelay = strings.NewReader(stdin), time.Second
	out, said := capped{left: maxTool}, capped{left: maxConfig}
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		err = fmt.Errorf("%w; an environment on MTD or UBI needs it", err)
	case strings.Contains(said.String(), "default environment") || strings.Contains(said.String(), "using default"):
		err = ErrNone // they go on with what nobody saved
	case err != nil:
		err = fmt.Errorf("%w: %.200s", err, strings.TrimSpace(said.String()))
	}
	if err != nil {
		return "", fmt.Errorf("run %s: %w", name, err)
	}
	return out.String(), nil
}

// capped is a buffer that refuses more than is left.
type capped struct {
	kept bytes.Buffer
	left int
}

func (c *capped) String() string { return c.kept.String() }

func (c *capped) Write(p []byte) (int, error) {
	if c.left -= len(p); c.left < 0 {
		return 0, io.ErrShortBuffer
	}
	return c.kept.Write(p)
}
