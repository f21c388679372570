// Package either reaches one server over two links: the first one as long as
// it answers, the second one until it does again. A deployment that was begun
// over one goes on over the other.
package either

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/inventory"
	"github.com/moult-ota/moult/internal/link"
)

// Options say when to change.
type Options struct {
	Tries int           // failures in a row until the other is asked; 0 means 3
	Back  time.Duration // until the first is asked again; 0 means 10 minutes
	Now   func() time.Time
	Log   *slog.Logger // nil means none
}

// A Link is a link.Link over two others.
type Link struct {
	o       Options
	links   [2]link.Link
	current int
	failed  int       // in a row, of the current one
	left    time.Time // when the first one was given up
	offered int       // which link made the last offer
	uri     string    // of that offer
}

var _ link.Link = (*Link)(nil)

// New returns a link that prefers first.
func New(first, second link.Link, o Options) *Link {
	if o.Tries == 0 {
		o.Tries = 3
	}
	if o.Back == 0 {
		o.Back = 10 * time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Link{o: o, links: [2]link.Link{first, second}}
}

// Close closes the links that can be closed.
func (l *Link) Close() error {
	var errs []error
	for _, one := range l.links {
		if c, ok := one.(io.Closer); ok {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}

// Authenticate implements link.Link.
func (l *Link) Authenticate(ctx context.Context) error {
	return l.ask(func(one link.Link) error { return one.Authenticate(ctx) })
}

// Next implements link.Link.
func (l *Link) Next(ctx context.Context, r fleet.Report) (o link.Offer, err error) {
	err = l.ask(func(one link.Link) (err error) {
		o, err = one.Next(ctx, r)
		return err
	})
	if err == nil {
		l.offered, l.uri = l.current, o.URI
	}
	return o, err
}

// Progress implements link.Link.
func (l *Link) Progress(ctx context.Context, p fleet.Progress) error {
	return l.ask(func(one link.Link) error { return one.Progress(ctx, p) })
}

// Describe implements link.Link.
func (l *Link) Describe(ctx context.Context, a inventory.Attributes) error {
	return l.ask(func(one link.Link) error { return one.Describe(ctx, a) })
}

// Log implements link.Link.
func (l *Link) Log(ctx context.Context, d deployment.ID, lines []link.Line) error {
	return l.ask(func(one link.Link) error { return one.Log(ctx, d, lines) })
}

// Open opens an address over the link that offered it. When that is given up,
// the address is good no longer: the other one offers another.
func (l *Link) Open(ctx context.Context, uri string, offset int64) (link.Stream, error) {
	if uri != l.uri { // offered before a restart: whoever knows it
		for _, one := range l.links {
			if s, err := one.Open(ctx, uri, offset); err == nil {
				return s, nil
			}
		}
		return link.Stream{}, link.ErrExpired
	}
	if l.offered != l.current {
		return link.Stream{}, link.ErrExpired
	}
	s, err := l.links[l.current].Open(ctx, uri, offset)
	if l.note(err) {
		return link.Stream{}, link.ErrExpired
	}
	return s, err
}

// ask asks the current link, and the other one when it is time to.
func (l *Link) ask(do func(link.Link) error) error {
	if l.current == 1 && l.o.Now().Sub(l.left) >= l.o.Back {
		if err := do(l.links[0]); !away(err) {
			l.o.Log.Info("the first way to the server is back")
			l.current, l.failed = 0, 0
			return err
		}
		l.left = l.o.Now()
	}
	err := do(l.links[l.current])
	if !l.note(err) {
		return err
	}
	return do(l.links[l.current])
}

// note counts failures, and reports whether the link was changed for them.
func (l *Link) note(err error) bool {
	if !away(err) {
		l.failed = 0
		return false
	}
	if l.failed++; l.failed < l.o.Tries {
		return false
	}
	l.current, l.failed = 1-l.current, 0
	if l.current == 1 {
		l.left = l.o.Now()
	}
	l.o.Log.Warn("another way to the server is tried", "error", err)
	return true
}

// away reports whether an error is the line's: what a server answered, the
// other line would not change.
func away(err error) bool {
	var busy *link.BusyError
	switch {
	case err == nil, errors.As(err, &busy), errors.Is(err, context.Canceled):
		return false
	}
	for _, answer := range []error{link.ErrUnauthorized, link.ErrCanceled, link.ErrNotFound, link.ErrExpired, link.ErrTooLarge, deployment.ErrEnded} {
		if errors.Is(err, answer) {
			return false
		}
	}
	return true
}
