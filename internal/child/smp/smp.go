// Package smp reaches a child by SMP, Zephyr's management protocol, on a
// serial console or over UDP. The protocol has no authentication: a serial
// cable or a network of its own has to keep others out. What keeps a wrong
// image out is the child's boot loader.
package smp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moult-ota/moult/internal/child"
	wire "github.com/moult-ota/moult/internal/wire/smp"
)

// Options of a Child. Zero values are what Zephyr's defaults want.
type Options struct {
	Image   uint32        // of a child with several
	Timeout time.Duration // for an answer; 0 means 2.5 s
	Erase   time.Duration // for one that may have to erase a slot; 0 means 40 s
	Tries   int           // of a request before the child is away; 0 means 4
	Down    time.Duration // after a reset the child is down by then; 0 means 2 s
	Window  int           // uploads in flight; 0: one less than the child has buffers; 1: stop and wait
	Packet  int           // bytes of a packet when the child does not tell; 0: as its transport says
}

const maxWindow = 64 // far from the 256 sequence numbers

func (o *Options) fill() {
	o.Timeout = cmp.Or(o.Timeout, 2500*time.Millisecond)
	o.Erase = cmp.Or(o.Erase, 40*time.Second)
	o.Tries = cmp.Or(o.Tries, 4)
	o.Down = cmp.Or(o.Down, 2*time.Second)
}

// A Transport carries packets to one server. They may get lost, come twice
// and overtake each other.
type Transport interface {
	Send(packet []byte) error
	// Recv returns a packet; after deadline os.ErrDeadlineExceeded.
	Recv(deadline time.Time) ([]byte, error)
	Limits() Limits
	Close() error
}

// Limits are what a transport can carry.
type Limits struct {
	Packet   int // bytes, when the server does not tell its own limit
	Most     int // bytes of any packet
	Overhead int // bytes in the server's buffer beside the packet
}

// A Client talks to one SMP server. It opens its transport when it is needed,
// and again after that broke.
type Client struct {
	open     func() (Transport, error)
	opts     Options
	t        Transport
	version  uint8
	sequence uint8
}

// NewClient returns a client that has not opened anything yet.
func NewClient(open func() (Transport, error), o Options) *Client {
	o.fill()
	return &Client{open: open, opts: o, version: wire.V2}
}

// Close lets go of the transport. The client may be used again.
func (c *Client) Close() error {
	if c.t == nil {
		return nil
	}
	t := c.t
	c.t = nil
	return t.Close()
}

// transport opens it if it is not open.
func (c *Client) transport() (Transport, error) {
	if c.t == nil {
		t, err := c.open()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", child.ErrAway, err)
		}
		c.t = t
	}
	return c.t, nil
}

// broken closes the transport, so that the next use opens it again.
func (c *Client) broken(err error) error {
	_ = c.Close()
	return fmt.Errorf("%w: %w", child.ErrAway, err)
}

// packet makes the next request.
func (c *Client) packet(op wire.Op, command wire.Command, m wire.Message) (p wire.Packet, text []byte, err error) {
	c.sequence++
	p = wire.Packet{Op: op, Version: c.version, Command: command, Sequence: c.sequence}
	if p.Body, err = wire.AppendBody(nil, m); err == nil {
		text, err = wire.AppendPacket(nil, p)
	}
	return p, text, err
}

// errSilent is a wait that ended.
var errSilent = errors.New("no answer in time")

// recv returns the next packet that is one. The wait ends with ctx, too.
func (c *Client) recv(ctx context.Context, deadline time.Time) (p wire.Packet, err error) {
	const look = 100 * time.Millisecond // at ctx
	for {
		if err := ctx.Err(); err != nil {
			return p, err
		}
		now := time.Now()
		if !now.Before(deadline) {
			return p, errSilent
		}
		end := deadline
		if soon := now.Add(look); soon.Before(end) {
			end = soon
		}
		text, err := c.t.Recv(end)
		if isDeadline(err) {
			continue
		}
		if err != nil {
			return p, c.broken(err)
		}
		if p, rest, err := wire.ParsePacket(text); err == nil && len(rest) == 0 {
			return p, nil
		}
	}
}
