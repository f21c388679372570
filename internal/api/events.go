package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/moult-ota/moult/internal/auth"
	"github.com/moult-ota/moult/internal/fleet"
)

const (
	// MaxStreams bounds how many event streams are open at once.
	MaxStreams = 256
	// Heartbeat is how often a silent stream says that it lives.
	Heartbeat = 15 * time.Second
	// sendTimeout ends a stream whose reader does not take an event.
	sendTimeout = 10 * time.Second
)

func (a *api) events() {
	add(a, auth.Read, huma.Operation{
		OperationID: "watch-events", Method: http.MethodGet, Path: "/events", Summary: "Watch what happens, as server-sent events",
		Description: "Each event's id is its cursor and its data is an Event. With Last-Event-ID, or `after`, everything since is sent " +
			"first, so that nothing is missed between two connections; with neither, the stream begins now. A comment every 15 seconds says that the stream lives.",
		Tags: []string{"events"},
		Responses: map[string]*huma.Response{"200": {Description: "A stream of events", Content: map[string]*huma.MediaType{
			"text/event-stream": {Schema: &huma.Schema{Type: "string", Extensions: map[string]any{
				"contentMediaType": "application/json", "contentSchema": a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Event](), true, ""),
			}}},
		}}},
	}, a.watchEvents)
}

type eventsIn struct {
	LastEventID int64  `header:"Last-Event-ID" minimum:"0" doc:"Cursor of the last event that arrived"`
	After       int64  `query:"after" minimum:"-1" default:"-1" doc:"The same, where headers cannot be set; 0 is from the beginning"`
	Deployment  string `query:"deployment" maxLength:"128" doc:"Only events of this deployment"`
	Device      string `query:"device" maxLength:"128" doc:"Only events of this device"`
	Kind        string `query:"kind" enum:"device,release,deployment,assignment" doc:"Only this kind"`
}

// wants reports whether the stream asked for e.
func (in *eventsIn) wants(e fleet.Event) bool {
	return (in.Deployment == "" || in.Deployment == string(e.Deployment)) &&
		(in.Device == "" || in.Device == string(e.Device)) &&
		(in.Kind == "" || in.Kind == string(e.Kind))
}

// start is the cursor to begin after.
func (a *api) start(ctx context.Context, in *eventsIn) (fleet.Cursor, error) {
	switch {
	case in.LastEventID > 0:
		return fleet.Cursor(in.LastEventID), nil
	case in.After >= 0:
		return fleet.Cursor(in.After), nil
	}
	return a.control.Latest(ctx)
}

func (a *api) watchEvents(ctx context.Context, in *eventsIn) (*huma.StreamResponse, error) {
	after, err := a.start(ctx, in)
	if err != nil {
		return nil, err
	}
	select {
	case a.streams <- struct{}{}:
	default:
		return nil, fmt.Errorf("%w: %d event streams are open", errBusy, MaxStreams)
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer func() { <-a.streams }()
		_, w := humago.Unwrap(hc)
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-store")
		a.stream(hc.Context(), &sender{w: w, rc: http.NewResponseController(w)}, in, after)
	}}, nil
}

// stream sends until the reader goes, the server stops, or the store fails;
// in every case the reader comes back with Last-Event-ID.
func (a *api) stream(ctx context.Context, s *sender, in *eventsIn, after fleet.Cursor) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events := follow(ctx, a.control.Watch(ctx, after))
	beat := time.NewTicker(Heartbeat)
	defer beat.Stop()
	err := s.comment("stream begins")
	for err == nil {
		select {
		case e, ok := <-events:
			switch {
			case !ok:
				return
			case in.wants(e):
				err = s.event(e)
			}
		case <-beat.C:
			err = s.comment("still here")
		case <-a.closing:
			return
		}
	}
}

// follow turns the iterator into a channel that closes when it ends.
func follow(ctx context.Context, seq iter.Seq2[fleet.Event, error]) <-chan fleet.Event {
	events := make(chan fleet.Event)
	go func() {
		defer close(events)
		for e, err := range seq {
			if err != nil {
				return
			}
			select {
			case events <- e:
			case <-ctx.Done():
				return
			}
		}
	}()
	return events
}

// A sender writes server-sent events, each within sendTimeout.
type sender struct {
	w  io.Writer
	rc *http.ResponseController
}

func (s *sender) event(e fleet.Event) error {
	data, err := json.Marshal(eventShape(e))
	if err != nil {
		return err
	}
	return s.send("id: %d\ndata: %s\n\n", e.Cursor, data)
}

func (s *sender) comment(text string) error { return s.send(": %s\n\n", text) }

// send leaves no deadline behind: one that passes in silence would end an
// HTTP/2 stream.
func (s *sender) send(format string, args ...any) error {
	s.rc.SetWriteDeadline(time.Now().Add(sendTimeout))
	defer s.rc.SetWriteDeadline(time.Time{})
	if _, err := fmt.Fprintf(s.w, format, args...); err != nil {
		return err
	}
	return s.rc.Flush()
}
