package uboot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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
// promise: the old variables or the new ones, when there are two copies or a
// UBI volume.
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
	if len(s) == 0 {
		return nil, ErrNone
	}
	return s, nil
}

// Write sets the variables of s with one call of fw_setenv, and looks whether
// they are set: there are versions that expect another script.
func (t Tools) Write(s variables.Set) error {
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
	cmd.Stdin = strings.NewReader(stdin)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	if err == nil && out.Len() > maxTool {
		err = fmt.Errorf("printed more than %d bytes", maxTool)
	}
	if errors.Is(err, exec.ErrNotFound) {
		return "", fmt.Errorf("run %s: %w; an environment on MTD or UBI needs it", name, err)
	}
	if err != nil {
		return "", fmt.Errorf("run %s: %w: %.200s", name, err, strings.TrimSpace(said.String()))
	}
	return out.String(), nil
}
