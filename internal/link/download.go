package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// ErrChanged means that the bytes behind an address are no longer those that
// the download began with. Nothing can be appended to it; start again.
var ErrChanged = errors.New("the artifact changed during the download")

// maxReconnects bounds the connections of one download, progress or not.
const maxReconnects = 10_000

// An Opener is the part of a Link that a Download needs.
type Opener interface {
	Open(ctx context.Context, uri string, offset int64) (Stream, error)
}

// Patience says how a Download bears a bad line.
type Patience struct {
	Tries    int                                            // errors in a row without a byte; 0 means 8
	Retry    time.Duration                                  // first wait, doubled each time; 0 means 1 second
	RetryMax time.Duration                                  // longest wait; 0 means 1 minute
	Sleep    func(context.Context, time.Duration) error     // nil means by the clock
	Rand     *rand.Rand                                     // jitter; nil means none
	Note     func(err error, offset int64, w time.Duration) // told of every interruption; nil means nobody
}

// A Download reads an artifact from its first byte to its last, over as many
// connections as that takes.
type Download struct {
	ctx      context.Context
	opener   Opener
	uri      string
	patience Patience

	body       io.ReadCloser
	total      int64 // -1 until known
	tag        string
	offset     int64
	failures   int // in a row
	reconnects int
	err        error
}

// NewDownload returns a reader of the artifact at uri. It connects on the
// first Read. size is its length where the offer said so, else 0.
func NewDownload(ctx context.Context, o Opener, uri string, size int64, p Patience) *Download {
	if p.Tries == 0 {
		p.Tries = 8
	}
	if p.Retry == 0 {
		p.Retry = time.Second
	}
	if p.RetryMax == 0 {
		p.RetryMax = time.Minute
	}
	if p.Sleep == nil {
		p.Sleep = Sleep
	}
	if size == 0 {
		size = -1
	}
	return &Download{ctx: ctx, opener: o, uri: uri, patience: p, total: size}
}

// Offset is how many bytes were read; Total how many there are, -1 when not
// known.
func (d *Download) Offset() int64 { return d.offset }
func (d *Download) Total() int64  { return d.total }

// Read returns io.EOF only after the last byte of the artifact. Any other
// error is the last: the line stayed bad, or there is nothing to resume.
func (d *Download) Read(p []byte) (int, error) {
	for d.err == nil {
		n, err := d.read(p)
		d.offset += int64(n)
		if n > 0 {
			d.failures = 0
		}
		if err != nil {
			d.err = d.interrupted(err)
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, d.err
}

// Close ends the download.
func (d *Download) Close() error {
	d.drop()
	d.err = errors.New("download is closed")
	return nil
}

func (d *Download) read(p []byte) (int, error) {
	if d.body == nil {
		if err := d.open(); err != nil {
			return 0, err
		}
	}
	if d.total >= 0 && d.offset+int64(len(p)) > d.total {
		p = p[:d.total-d.offset]
		if len(p) == 0 {
			return 0, io.EOF
		}
	}
	return d.body.Read(p)
}

func (d *Download) open() error {
	s, err := d.opener.Open(d.ctx, d.uri, d.offset)
	if err != nil {
		return err
	}
	changed := d.total >= 0 && s.Total >= 0 && s.Total != d.total || d.tag != "" && s.Tag != d.tag
	if changed {
		s.Body.Close()
		return fmt.Errorf("%w: %d bytes %q, now %d bytes %q", ErrChanged, d.total, d.tag, s.Total, s.Tag)
	}
	d.body, d.tag = s.Body, s.Tag
	if s.Total >= 0 {
		d.total = s.Total
	}
	return nil
}

// interrupted returns nil after a wait when it is worth going on.
func (d *Download) interrupted(err error) error {
	d.drop()
	complete := d.offset == d.total || d.total < 0
	switch {
	case errors.Is(err, io.EOF) && complete:
		return io.EOF
	case errors.Is(err, ErrChanged), errors.Is(err, ErrExpired), d.ctx.Err() != nil:
		return fmt.Errorf("download at %d of %d bytes: %w", d.offset, d.total, err)
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	d.failures++
	d.reconnects++
	if d.failures > d.patience.Tries || d.reconnects > maxReconnects {
		return fmt.Errorf("download at %d of %d bytes, after %d connections: %w", d.offset, d.total, d.reconnects, err)
	}
	wait := d.wait(err)
	if d.patience.Note != nil {
		d.patience.Note(err, d.offset, wait)
	}
	return d.patience.Sleep(d.ctx, wait)
}

func (d *Download) wait(err error) time.Duration {
	wait := Backoff(d.failures, d.patience.Retry, d.patience.RetryMax)
	if d.patience.Rand != nil {
		wait += time.Duration(d.patience.Rand.Int64N(int64(wait)/4 + 1))
	}
	var busy *BusyError
	if errors.As(err, &busy) {
		wait = max(wait, min(busy.After, time.Hour))
	}
	return wait
}

func (d *Download) drop() {
	if d.body != nil {
		d.body.Close()
		d.body = nil
	}
}

// Backoff is the wait after the n-th error in a row, from 1.
func Backoff(n int, first, longest time.Duration) time.Duration {
	d := first
	for ; n > 1 && d < longest; n-- {
		d *= 2
	}
	return min(d, longest)
}

// Sleep waits by the clock, or until ctx ends.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Broken is the error that ended the download before its last byte; nil while
// it goes on, and after it was complete.
func (d *Download) Broken() error {
	if errors.Is(d.err, io.EOF) && !errors.Is(d.err, io.ErrUnexpectedEOF) {
		return nil
	}
	return d.err
}
