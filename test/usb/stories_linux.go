package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/moult-ota/moult/internal/child"
	"github.com/moult-ota/moult/internal/child/dfu"
	"github.com/moult-ota/moult/internal/virtualmcu"
	wire "github.com/moult-ota/moult/internal/wire/dfu"
	"github.com/moult-ota/moult/mcuboot"
)

// A story is what happens to one board.
type story struct {
	name   string
	stack  virtualmcu.Stack
	change func(*virtualmcu.Options)
	tell   func(context.Context, *world) error
}

var stories = []story{
	{"dfu-util", virtualmcu.StackLegacy, nil, byUtil},
	{"our host", virtualmcu.StackLegacy, nil, byHost},
	{"our host, new stack", virtualmcu.StackNext, nil, byHost},
	{"our host resets the port", virtualmcu.StackLegacy, func(o *virtualmcu.Options) { o.HostDetach = true }, byHost},
	{"our host, 32 bits", virtualmcu.StackLegacy, nil, byOther},
	{"our driver with dfu-util", virtualmcu.StackLegacy, func(o *virtualmcu.Options) { o.NoReboot = false }, byDriver},
	{"a deployment", virtualmcu.StackLegacy, func(o *virtualmcu.Options) { o.NoReboot = false }, deploy},
	{"stuck", virtualmcu.StackLegacy, nil, stuck},
}

// byUtil detaches and downloads with Debian's tool.
func byUtil(ctx context.Context, w *world) error {
	path, err := w.file()
	if err != nil {
		return err
	}
	if _, err := w.util(ctx, "-e"); err != nil {
		return err
	}
	if err := w.wait(ctx, "2fe3:ffff"); err != nil {
		return err
	}
	if out, err := w.util(ctx, "-l"); err != nil || !strings.Contains(out, `name="image_1"`) {
		return fmt.Errorf("dfu-util -l: %w: %s", err, out)
	}
	if _, err := w.util(ctx, "-a", "image_1", "-D", path); err != nil {
		return err
	}
	return w.arrived()
}

// byHost does the same with package child/dfu, from the running application
// on.
func byHost(ctx context.Context, w *world) error {
	c, err := w.child(nil)
	if err != nil {
		return err
	}
	s, err := c.State(ctx)
	if want := (mcuboot.Version{Major: 1, Minor: 4}); err != nil || s.Running.Version != want {
		return fmt.Errorf("it says that it runs %v, %w, want %v", s.Running.Version, err, want)
	}
	if err := c.Send(ctx, w.image, nil); err != nil {
		return err
	}
	return w.arrived()
}

// byOther does it as a program of 32 bits.
func byOther(ctx context.Context, w *world) error {
	path, err := w.file()
	if err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, "/host32", w.port, path).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return w.arrived()
}

// sendAs is that program.
func sendAs(port, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	c, err := (&world{port: port}).child(nil)
	if err != nil {
		return err
	}
	return c.Send(context.Background(), child.Image{Bytes: text}, nil)
}

// byDriver lets the driver use Debian's tool: to the slot that runs, which the
// board refuses, and to the other one, which it then starts.
func byDriver(ctx context.Context, w *world) error {
	f := new(dfu.Fault)
	if err := w.drive(ctx, "image_0"); !errors.As(err, &f) || f.Code != wire.ErrWrite {
		return fmt.Errorf("to image_0: %w, want errWRITE", err)
	}
	if err := w.drive(ctx, "image_1"); err != nil {
		return err
	}
	c, err := w.child(nil)
	if err != nil {
		return err
	}
	return w.runs(ctx, c)
}

func (w *world) drive(ctx context.Context, alt string) error {
	c, err := w.child(func(o *dfu.Options) {
		o.Program, o.Folder, o.Alts = "/usr/bin/dfu-util", "/tmp", []string{alt}
	})
	if err != nil {
		return err
	}
	var told []int64
	err = c.Send(ctx, w.image, func(n int64) { told = append(told, n) })
	if err == nil && (len(told) < 10 || told[len(told)-1] != int64(len(w.image.Bytes))) {
		err = fmt.Errorf("told %d bytes", told)
	}
	return err
}

// deploy is a whole one: the board restarts by itself, its new image confirms
// itself, and stays over a reset.
func deploy(ctx context.Context, w *world) error {
	c, err := w.child(func(o *dfu.Options) {
		o.Restart = func(context.Context) error { w.board.Reset(); return nil }
	})
	if err != nil {
		return err
	}
	if err := c.Send(ctx, w.image, nil); err != nil {
		return err
	}
	for range 2 {
		if err := w.runs(ctx, c); err != nil {
			return err
		}
		if err := c.Reset(ctx); err != nil {
			return err
		}
	}
	return w.runs(ctx, c)
}

// runs waits until the new image runs.
func (w *world) runs(ctx context.Context, c child.Child) error {
	s, err := c.State(ctx)
	for errors.Is(err, child.ErrAway) && ctx.Err() == nil {
		time.Sleep(20 * time.Millisecond)
		s, err = c.State(ctx)
	}
	if err == nil && s.Running.Version != w.image.Version {
		err = fmt.Errorf("it runs %v, want %v", s.Running.Version, w.image.Version)
	}
	return err
}

// stuck is a board that answers nothing any more: the host's requests time out
// one by one, and the board is away.
func stuck(ctx context.Context, w *world) error {
	c, err := w.child(nil)
	if err != nil {
		return err
	}
	if err := c.Send(ctx, w.image, func(n int64) {
		if n > 10_000 {
			w.board.Stick()
		}
	}); !errors.Is(err, child.ErrAway) {
		return fmt.Errorf("to a stuck board: %w, want %w", err, child.ErrAway)
	}
	return nil
}
