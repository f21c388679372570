package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/moult-ota/moult/internal/slot"
)

// Options say how to copy; the zero value freezes for real when it can.
type Options struct {
	Freezer       Freezer       // nil: Kernel
	RequireFreeze bool          // what cannot be frozen is not copied
	Stall         time.Duration // without progress for so long, give up; 0 means 30 s
	Warn          func(error)   // told what went wrong but did not end the copy
}

// ErrStalled is a reader that took no bytes, or a device that gave none.
var ErrStalled = errors.New("no progress; the file system is thawed and the image is incomplete")

const (
	stall = 30 * time.Second
	chunk = 128 << 10 // bytes per read
)

// Stream copies s to w. When it returns, for whatever reason, the file system
// is thawed. Its copying goroutine may outlive it, blocked in w, when it
// returns ErrStalled or the error of ctx; w must not be used any more.
func Stream(ctx context.Context, w io.Writer, s Source, o Options) (err error) {
	f, err := openMedium(s.Path)
	if err != nil {
		return fmt.Errorf("open source: %w", err)
	}
	thaw, err := freeze(s, o)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	defer func() { err = errors.Join(err, thaw()) }()
	var moved atomic.Int64
	done := make(chan error, 1)
	go func() {
		defer f.Close()
		done <- pour(w, f, &moved)
	}()
	return watch(ctx, done, &moved, o)
}

// freeze freezes s where that is possible; thaw is never nil without an error.
func freeze(s Source, o Options) (thaw func() error, err error) {
	if o.Freezer == nil {
		o.Freezer = Kernel{}
	}
	none := func() error { return nil }
	if s.Mount == "" {
		return none, nil
	}
	if thaw, err = o.Freezer.Freeze(s.Mount); err == nil {
		return thaw, nil
	}
	if o.RequireFreeze {
		return nil, err
	}
	if o.Warn != nil {
		o.Warn(fmt.Errorf("%w; the image is copied while it may change", err))
	}
	return none, nil
}

// pour copies and counts; a panic becomes an error, so that thawing goes on.
func pour(w io.Writer, r io.Reader, moved *atomic.Int64) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("copy image: %v", p)
		}
	}()
	buf := slot.Aligned(chunk)
	for {
		n, err := io.ReadFull(r, buf)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = io.EOF
		}
		if _, werr := w.Write(buf[:n]); werr != nil {
			return fmt.Errorf("write image: %w", werr)
		}
		moved.Add(int64(n))
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read source: %w", err)
		}
	}
}

// watch waits for the end of the copy, of ctx or of patience.
func watch(ctx context.Context, done <-chan error, moved *atomic.Int64, o Options) error {
	if o.Stall <= 0 {
		o.Stall = stall
	}
	tick := time.NewTicker(o.Stall / 10)
	defer tick.Stop()
	last, since := int64(0), time.Now()
	for {
		select {
		case err := <-done:
			return err
		case <-ctx.Done():
			return fmt.Errorf("copy image: %w", ctx.Err())
		case <-tick.C:
			if now := moved.Load(); now != last {
				last, since = now, time.Now()
			}
			if time.Since(since) >= o.Stall {
				return fmt.Errorf("copy image: %w (%d bytes, then none for %v)", ErrStalled, last, o.Stall)
			}
		}
	}
}
