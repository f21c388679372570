package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/moult-ota/moult/internal/agent"
	"github.com/moult-ota/moult/internal/child"
	"github.com/moult-ota/moult/mcuboot"
)

// A bus is a child that is opened when it is first asked, and may be let go of
// at any time: serial port and USB device are free for others while nothing is
// under way. What the configuration has a program for is that program's.
type bus struct {
	k      *Child
	folder string

	mu    sync.Mutex
	child child.Child // nil: not open
}

var _ child.Child = (*bus)(nil)

func (b *bus) opened() (child.Child, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.child == nil {
		c, err := b.k.open(b.folder)
		if err != nil { // a USB device that is unplugged, a port that is not there yet
			return nil, fmt.Errorf("%w: open %s %s: %w", child.ErrAway, b.k.Driver, b.k.Address, err)
		}
		b.child = c
	}
	return b.child, nil
}

// Close lets go of the bus until it is asked again.
func (b *bus) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.child == nil {
		return nil
	}
	err := b.child.Close()
	b.child = nil
	return err
}

// with runs f on the open child. One that is away may come back as another
// device of the kernel, so it is opened anew.
func (b *bus) with(f func(child.Child) error) error {
	c, err := b.opened()
	if err != nil {
		return err
	}
	if err = f(c); errors.Is(err, child.ErrAway) {
		b.Close()
	}
	return err
}

func (b *bus) State(ctx context.Context) (s child.State, err error) {
	err = b.with(func(c child.Child) (err error) { s, err = c.State(ctx); return err })
	if err != nil || b.k.VersionCommand == "" {
		return s, err
	}
	out, err := b.run(ctx, b.k.VersionCommand)
	if err == nil {
		s.Running.Version, err = mcuboot.ParseVersion(strings.TrimSpace(string(out)))
	}
	return s, err
}

func (b *bus) Send(ctx context.Context, image child.Image, told func(int64)) error {
	return b.with(func(c child.Child) error { return c.Send(ctx, image, told) })
}

func (b *bus) Try(ctx context.Context, image child.Image) error {
	return b.with(func(c child.Child) error { return c.Try(ctx, image) })
}

func (b *bus) Reset(ctx context.Context) error {
	if b.k.ResetCommand != "" {
		_, err := b.run(ctx, b.k.ResetCommand)
		return err
	}
	return b.with(func(c child.Child) error { return c.Reset(ctx) })
}

func (b *bus) Confirm(ctx context.Context) error {
	if b.k.ConfirmCommand != "" {
		_, err := b.run(ctx, b.k.ConfirmCommand)
		return err
	}
	return b.with(func(c child.Child) error { return c.Confirm(ctx) })
}

// run runs one of the child's programs, with its id and address.
func (b *bus) run(ctx context.Context, program string) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, b.k.CommandTime, fmt.Errorf("it took longer than %v", b.k.CommandTime))
	defer cancel()
	out, err := agent.RunProgram(ctx, program, b.k.ID, b.k.Address)
	if err != nil {
		text := strings.TrimSpace(string(out))
		err = fmt.Errorf("%w: %s", err, text[strings.LastIndexByte(text, '\n')+1:])
	}
	return out, err
}

// selfTest asks the child, where its bus can, and then the child's program.
func (b *bus) selfTest(ctx context.Context) error {
	if test := drivers[b.k.Driver].test; test != nil {
		if err := b.with(func(c child.Child) error { return test(ctx, c) }); err != nil {
			return err
		}
	}
	if b.k.SelfTest == "" {
		return nil
	}
	_, err := b.run(ctx, b.k.SelfTest)
	return err
}

// stateTime bounds a look at a child that is not part of an update.
const stateTime = 20 * time.Second
