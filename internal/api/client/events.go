package client

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"
)

const (
	maxEventLine = 1 << 20 // bytes of one line of an event stream
	// silence is how long a stream may say nothing: two heartbeats and a bit.
	silence = 40 * time.Second
)

// Events yields what happens, from p.After or p.LastEventID on. When the
// stream breaks off it is opened again where it ended, so that nothing is
// missed; what the server refuses (a wrong token) ends it with an error.
func (c *Client) Events(ctx context.Context, p WatchEventsParams) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for ctx.Err() == nil {
			err := c.stream(ctx, &p, yield)
			if err == errStopped {
				return
			}
			if err != nil && !passing(err) {
				yield(Event{}, err)
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}
}

var errStopped = fmt.Errorf("the caller stopped")

// stream reads one connection's events and keeps the cursor in p.
func (c *Client) stream(ctx context.Context, p *WatchEventsParams, yield func(Event, error) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	body, err := c.WatchEvents(ctx, *p)
	if err != nil {
		return err
	}
	defer body.Close()
	watchdog := time.AfterFunc(silence, cancel)
	defer watchdog.Stop()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxEventLine)
	for lines.Scan() {
		watchdog.Reset(silence)
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue // ids are in the data too
		}
		var e Event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return fmt.Errorf("read event: %w", err)
		}
		p.LastEventID = e.Cursor
		if !yield(e, nil) {
			return errStopped
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}
