package smp

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/moult-ota/moult/internal/child"
	wire "github.com/moult-ota/moult/internal/wire/smp"
)

func isDeadline(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// ask sends a request until its answer comes. A server that knows the first
// version alone is asked in that from then on.
func ask[A wire.Message](ctx context.Context, c *Client, op wire.Op, command wire.Command, m wire.Message, limit time.Duration) (A, error) {
	answer, err := askOnce[A](ctx, c, op, command, m, limit)
	var e *wire.Error
	if c.version == wire.V2 && errors.As(err, &e) && e.Has(wire.SMP, wire.RCTooNew) {
		c.version = wire.V1
		return askOnce[A](ctx, c, op, command, m, limit)
	}
	return answer, err
}

// askOnce repeats the very packet, so that a server that answers each can be
// answered to by any of them.
func askOnce[A wire.Message](ctx context.Context, c *Client, op wire.Op, command wire.Command, m wire.Message, limit time.Duration) (none A, err error) {
	request, text, err := c.packet(op, command, m)
	if err != nil {
		return none, err
	}
	err = child.ErrAway
	for range c.tries(limit) {
		var t Transport
		if t, err = c.transport(); err == nil {
			if err = t.Send(text); err != nil {
				err = c.broken(err)
			}
		}
		if err != nil { // it may come back
			if err := pause(ctx, c.opts.Timeout/10); err != nil {
				return none, err
			}
			continue
		}
		var p wire.Packet
		p, err = c.await(ctx, request, time.Now().Add(c.opts.Timeout))
		switch {
		case ctx.Err() != nil:
			return none, ctx.Err()
		case err == nil:
			return wire.ParseAnswer[A](p)
		}
	}
	if errors.Is(err, errSilent) {
		err = fmt.Errorf("%w: %w", child.ErrAway, err)
	}
	return none, err
}

// tries is how often a request is sent within limit; 0 is no limit of its own.
func (c *Client) tries(limit time.Duration) int {
	return max(c.opts.Tries, int(limit/c.opts.Timeout))
}

// await passes over answers to earlier requests.
func (c *Client) await(ctx context.Context, request wire.Packet, deadline time.Time) (wire.Packet, error) {
	for {
		p, err := c.recv(ctx, deadline)
		if err != nil || p.Answers(request) {
			return p, err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// Echo returns what the server makes of a text.
func (c *Client) Echo(ctx context.Context, text string) (string, error) {
	a, err := ask[wire.EchoAnswer](ctx, c, wire.Write, wire.Echo, wire.EchoRequest{Text: text}, 0)
	return a.Text, err
}

// Params returns the server's buffers.
func (c *Client) Params(ctx context.Context) (wire.ParamsAnswer, error) {
	return ask[wire.ParamsAnswer](ctx, c, wire.Read, wire.Params, wire.Empty{}, 0)
}

// Images lists the slots.
func (c *Client) Images(ctx context.Context) ([]wire.Image, error) {
	a, err := ask[wire.StateAnswer](ctx, c, wire.Read, wire.State, wire.Empty{}, 0)
	return a.Images, err
}

// Test makes an image boot once.
func (c *Client) Test(ctx context.Context, hash []byte) error {
	_, err := ask[wire.StateAnswer](ctx, c, wire.Write, wire.State, wire.StateRequest{Hash: hash}, 0)
	return err
}

// Confirm makes what runs stay.
func (c *Client) Confirm(ctx context.Context) error {
	_, err := ask[wire.StateAnswer](ctx, c, wire.Write, wire.State, wire.StateRequest{Confirm: true}, 0)
	return err
}

// Erase erases the slot that does not run.
func (c *Client) Erase(ctx context.Context) error {
	_, err := ask[wire.Empty](ctx, c, wire.Write, wire.Erase, wire.EraseRequest{}, c.opts.Erase)
	return err
}

// Reset asks for a reset once, because a second one ends a trial that the
// first one began, and returns when the server is silent, or has had the time
// for it. Without an answer, which is ErrAway, it may reset or not.
func (c *Client) Reset(ctx context.Context) error {
	once := *c
	once.opts.Tries = 1
	_, err := ask[wire.Empty](ctx, &once, wire.Write, wire.Reset, wire.ResetRequest{}, 0)
	once.opts = c.opts
	*c = once
	if err != nil {
		return err
	}
	return c.down(ctx)
}

// down waits for two echoes without an answer; one may have got lost.
func (c *Client) down(ctx context.Context) error {
	const each = 500 * time.Millisecond
	const between = 20 * time.Millisecond
	silent := 0
	for end := time.Now().Add(c.opts.Down); silent < 2 && time.Now().Before(end); {
		request, text, err := c.packet(wire.Write, wire.Echo, wire.EchoRequest{})
		if err != nil {
			return err
		}
		t, err := c.transport()
		if err == nil {
			err = t.Send(text)
		}
		if err != nil {
			_ = c.Close()
			return nil // a port that is gone is a device that is down
		}
		_, err = c.await(ctx, request, time.Now().Add(min(each, c.opts.Timeout)))
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errSilent):
			silent++
			continue
		case err != nil:
			return nil
		}
		silent = 0
		if err := pause(ctx, between); err != nil {
			return err
		}
	}
	return nil
}
