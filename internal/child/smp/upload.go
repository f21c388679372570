package smp

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/moult-ota/moult/internal/child"
	wire "github.com/moult-ota/moult/internal/wire/smp"
)

// ErrMatch is an upload that came out as something else.
var ErrMatch = errors.New("what the child has is not what was sent")

// An upload goes back to whatever offset the server wants: it takes pieces in
// their order alone, and passes over all that follow a lost one.
type upload struct {
	c      *Client
	image  []byte
	sha    []byte // nil: the server does not take it
	piece  int    // bytes of data in a packet that is not the first
	first  int    // and in the first
	limit  int    // pieces in flight that the server has room for
	told   func(int64)
	best   int // offset that was reached
	window int // pieces in flight, now
	next   int // offset to send
	flight []sent
	match  bool // false: the server says that it has something else
	rtt    roundTrip
	alive  time.Time // when an answer came
	stuck  int       // answers in a row that moved nothing
}

// A sent is a piece that was not answered yet.
type sent struct {
	request  wire.Packet
	text     []byte
	off, end int
	at       time.Time
	again    int // times that it was repeated
}

// Upload sends an image, from where the server has it. told may be nil.
func (c *Client) Upload(ctx context.Context, image []byte, told func(int64)) error {
	if told == nil {
		told = func(int64) {}
	}
	sum := sha256.Sum256(image)
	u := &upload{c: c, image: image, sha: sum[:], told: told, window: 1, match: true}
	if err := u.size(ctx); err != nil {
		return err
	}
	err := u.run(ctx)
	var e *wire.Error
	if errors.As(err, &e) && (e.Has(wire.SMP, wire.RCInvalid) || e.Has(wire.GroupImage, wire.ImageBadHash)) && u.best == 0 {
		u.sha, u.flight, u.next, u.window = nil, nil, 0, 1
		if err := u.size(ctx); err != nil {
			return err
		}
		err = u.run(ctx)
	}
	if err == nil && !u.match {
		err = ErrMatch
	}
	return err
}

// size asks for the server's buffers, and makes pieces fit them.
func (u *upload) size(ctx context.Context) error {
	t, err := u.c.transport()
	if err != nil {
		return err
	}
	l := t.Limits()
	most, buffers := l.Packet, 2
	if u.c.opts.Packet > 0 {
		most = u.c.opts.Packet
	}
	p, err := u.c.Params(ctx)
	var e *wire.Error
	switch {
	case err == nil:
		most, buffers = int(min(p.BufferSize, wire.MaxPacket)), int(min(p.Buffers, maxWindow))
	case !errors.As(err, &e): // a server may not have the command
		return err
	}
	most = min(most-l.Overhead, l.Most)
	u.limit = max(1, min(buffers-1, maxWindow))
	if u.c.opts.Window > 0 {
		u.limit = min(u.limit, u.c.opts.Window)
	}
	u.piece = room(most, u.request(1, nil))
	u.first = room(most, u.request(0, nil))
	if u.first < 32 || u.piece < 32 { // the server wants a whole image header
		return fmt.Errorf("send image: the child takes packets of %d bytes; raise its buffer size", most)
	}
	return nil
}

// room is how much data fits beside m, in whole units of any flash.
func room(most int, m wire.UploadRequest) int {
	m.Off, m.Data = max(m.Off, min(m.Off, 1)*0xffffffff), nil
	body, err := wire.AppendBody(nil, m)
	if err != nil {
		return 0
	}
	const dataHead = 2 // more than the one byte of an empty one
	n := most - wire.HeaderSize - len(body) - dataHead
	for _, unit := range []int{64, 32, 8} {
		if n >= 4*unit {
			return n / unit * unit
		}
	}
	return n
}

func (u *upload) request(off int, data []byte) wire.UploadRequest {
	m := wire.UploadRequest{Off: uint32(off), Data: data}
	if off == 0 {
		n := uint32(len(u.image))
		m.Image, m.Len, m.SHA = u.c.opts.Image, &n, u.sha
	}
	return m
}

// run fills the window and takes answers until the server has all of it.
func (u *upload) run(ctx context.Context) error {
	u.alive = time.Now()
	for u.best < len(u.image) || u.next < len(u.image) || len(u.flight) > 0 {
		if err := u.fill(); err != nil {
			if err := u.reopen(ctx, err); err != nil {
				return err
			}
			continue
		}
		p, err := u.c.recv(ctx, u.deadline())
		switch {
		case errors.Is(err, errSilent):
			err = u.repeat()
		case errors.Is(err, child.ErrAway):
			err = u.reopen(ctx, err)
		case err == nil:
			err = u.take(p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// fill sends until the window is full. The first piece goes alone: its answer
// may be an offset far off.
func (u *upload) fill() error {
	t, err := u.c.transport()
	if err != nil {
		return err
	}
	for len(u.flight) < u.window && u.next < len(u.image) && (len(u.flight) == 0 || u.next != 0 && u.flight[0].off != 0) {
		n := u.piece
		if u.next == 0 {
			n = u.first
		}
		s := sent{off: u.next, end: min(u.next+n, len(u.image)), at: time.Now()}
		s.request, s.text, err = u.c.packet(wire.Write, wire.Upload, u.request(s.off, u.image[s.off:s.end]))
		if err != nil {
			return err
		}
		if err := t.Send(s.text); err != nil {
			return u.c.broken(err)
		}
		u.flight, u.next = append(u.flight, s), s.end
	}
	return nil
}

// deadline is when the oldest piece is repeated.
func (u *upload) deadline() time.Time {
	s := u.flight[0]
	if s.off == 0 {
		return s.at.Add(u.c.opts.Timeout)
	}
	return s.at.Add(u.rtt.patience(s.again, u.c.opts.Timeout))
}

// patience is how long silence lasts until the child is away.
func (u *upload) patience() time.Duration {
	if u.best == 0 || u.next == 0 || len(u.flight) > 0 && u.flight[0].off == 0 {
		return max(u.c.opts.Erase, time.Duration(u.c.opts.Tries)*u.c.opts.Timeout)
	}
	return time.Duration(u.c.opts.Tries) * u.c.opts.Timeout
}

// repeat sends the oldest piece again, with its sequence, and forgets those
// after it: the server passes over them.
func (u *upload) repeat() error {
	if time.Since(u.alive) >= u.patience() {
		return fmt.Errorf("send image at %d: %w: %w", u.flight[0].off, child.ErrAway, errSilent)
	}
	s := u.flight[0]
	s.again, s.at = s.again+1, time.Now()
	u.flight, u.next, u.window = append(u.flight[:0], s), s.end, 1
	t, err := u.c.transport()
	if err == nil {
		err = t.Send(s.text)
	}
	if err != nil {
		_ = u.c.Close() // fill opens it again
	}
	return nil
}

// reopen goes on when the transport is back, from where the server will say.
func (u *upload) reopen(ctx context.Context, err error) error {
	if time.Since(u.alive) >= u.patience() || !errors.Is(err, child.ErrAway) {
		return err
	}
	if len(u.flight) > 0 {
		u.next = u.flight[0].off
	}
	u.flight, u.window = nil, 1
	return pause(ctx, u.c.opts.Timeout/10)
}
