package api_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/api"
	"github.com/moult-ota/moult/internal/api/client"
	"github.com/moult-ota/moult/internal/server/servertest"
)

// take reads n events and stops.
func take(t *testing.T, c *client.Client, p client.WatchEventsParams, n int) []client.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var got []client.Event
	for e, err := range c.Events(ctx, p) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, e); len(got) == n {
			return got
		}
	}
	t.Fatalf("%d events came, want %d: %+v", len(got), n, got)
	return nil
}

// fromStart is a cursor before every event of these tests but the first.
const fromStart = 1

func TestEventsReplay(t *testing.T) {
	w := servertest.Start(t)
	w.Release("r1", "rpi")
	d, id := w.Accepted("a")
	deployment := deploy(t, w, "r1", everyone).ID
	finish(t, d, success...)
	all := take(t, w.Client, client.WatchEventsParams{LastEventID: fromStart, Deployment: deployment}, 7)
	var said []string
	for i, e := range all {
		if i > 0 && e.Cursor <= all[i-1].Cursor {
			t.Errorf("event %d has cursor %d after %d", i, e.Cursor, all[i-1].Cursor)
		}
		said = append(said, e.Kind+" "+e.State+e.Detail)
	}
	want := []string{"deployment active", "assignment offered", "assignment downloading", "assignment installing", "assignment rebooting", "assignment done", "deployment finished"}
	if !slices.Equal(said, want) {
		t.Errorf("events = %q, want %q", said, want)
	}
	if all[5].Device != id {
		t.Errorf("event of device %q, want %q", all[5].Device, id)
	}
	// From any event on, the rest comes again, and only the rest.
	for i := range all[:6] {
		rest := take(t, w.Client, client.WatchEventsParams{LastEventID: all[i].Cursor, Deployment: deployment}, 6-i)
		if rest[0] != all[i+1] {
			t.Errorf("after cursor %d came %+v, want %+v", all[i].Cursor, rest[0], all[i+1])
		}
	}
}

func TestEventsBeginNow(t *testing.T) {
	w := servertest.Start(t)
	w.Device("before")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	body := must(w.WatchEvents(ctx, client.WatchEventsParams{}))(t)
	defer body.Close()
	w.Device("after")
	first := make([]byte, 4096)
	text := ""
	for !slices.Contains([]byte(text), '}') {
		n, err := body.Read(first)
		if err != nil {
			t.Fatalf("stream ended after %q: %v", text, err)
		}
		text += string(first[:n])
	}
	var cursor, again int64
	if _, err := fmt.Sscanf(text, ": stream begins\n\nid: %d\ndata: {\"cursor\":%d,", &cursor, &again); err != nil || cursor != again {
		t.Fatalf("stream = %q: %v", text, err)
	}
	if e := take(t, w.Client, client.WatchEventsParams{LastEventID: cursor - 1}, 1)[0]; e.Device != w.ID("after") {
		t.Errorf("the stream began with an event of device %s, want that of the device that came after it", e.Device)
	}
}

func TestEventsFilter(t *testing.T) {
	w := servertest.Start(t)
	_, _ = w.Accepted("a")
	_, b := w.Accepted("b")
	w.Release("r1", "rpi")
	for _, e := range take(t, w.Client, client.WatchEventsParams{LastEventID: fromStart, Device: b}, 2) {
		if e.Device != b {
			t.Errorf("asked for device %s, got %+v", b, e)
		}
	}
	if e := take(t, w.Client, client.WatchEventsParams{LastEventID: fromStart, Kind: "release"}, 1)[0]; e.Kind != "release" {
		t.Errorf("asked for releases, got %+v", e)
	}
}

func TestEventsGoOnAfterARestart(t *testing.T) {
	w := servertest.Start(t)
	w.Device("first")
	w.Device("a")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	restarted := false
	for e, err := range w.Events(ctx, client.WatchEventsParams{LastEventID: fromStart, Kind: "device"}) {
		if err != nil {
			t.Fatal(err)
		}
		if restarted {
			if e.Device == w.ID("a") { // the rest of what was before
				continue
			}
			if e.Device != w.ID("b") {
				t.Errorf("after the restart came %+v, want the device that came meanwhile", e)
			}
			return
		}
		restart(t, w)
		w.Device("b")
		restarted = true
	}
	t.Fatal("the stream ended")
}

// restart stops the server and starts it where it was.
func restart(t *testing.T, w *servertest.World) {
	t.Helper()
	began := time.Now()
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("stop took %s with an event stream open", took)
	}
	w.Options.Listen = w.Server[len("http://"):]
	w.Run()
}

func TestEventStreamsAreBounded(t *testing.T) {
	w := servertest.Start(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := *w.Client
	c.Tries = 1
	for range api.MaxStreams {
		body := must(c.WatchEvents(ctx, client.WatchEventsParams{}))(t)
		defer body.Close()
		must(io.ReadFull(body, make([]byte, 3)))(t)
	}
	refused(t, "one stream too many", second(c.WatchEvents(ctx, client.WatchEventsParams{})), 503, "busy")
	refused(t, "a bad cursor", second(c.WatchEvents(ctx, client.WatchEventsParams{LastEventID: -5})), 422, "invalid")
	cancel()
	w.Eventually("streams that ended make room", func() bool {
		body, err := c.WatchEvents(t.Context(), client.WatchEventsParams{})
		if err == nil {
			body.Close()
		}
		return err == nil
	})
}
