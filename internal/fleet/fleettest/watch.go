package fleettest

import (
	"context"
	"iter"

	"github.com/moult-ota/moult/internal/fleet"
)

// emit stores an event; f.mu is held.
func (f *Fleet) emit(e fleet.Event) {
	e.Cursor, e.At = fleet.Cursor(len(f.events)+1), f.now()
	f.events = append(f.events, e)
	close(f.more)
	f.more = make(chan struct{})
}

// Watch implements fleet.Core.
func (f *Fleet) Watch(ctx context.Context, after fleet.Cursor) iter.Seq2[fleet.Event, error] {
	return func(yield func(fleet.Event, error) bool) {
		for {
			events, more := f.since(after)
			for _, e := range events {
				if !yield(e, nil) {
					return
				}
				after = e.Cursor
			}
			select {
			case <-more:
			case <-ctx.Done():
				yield(fleet.Event{}, ctx.Err())
				return
			}
		}
	}
}

func (f *Fleet) since(after fleet.Cursor) ([]fleet.Event, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	after = min(max(after, 0), fleet.Cursor(len(f.events)))
	return f.events[after:], f.more
}
