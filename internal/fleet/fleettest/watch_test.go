package fleettest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
)

// A watcher gets what was there, then what comes, each once and in order.
func TestWatch(t *testing.T) {
	f := New(nil)
	identity := device.Identity(`{"sn":"1"}`)
	f.Enroll(t.Context(), fleet.Credential{Identity: identity, Key: "key"})
	f.Add("release-1", "board", []byte("x"))
	events := make(chan fleet.Event)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		for e, err := range f.Watch(ctx, 1) {
			if err != nil {
				ended <- err
				return
			}
			events <- e
		}
	}()
	want := func(kind fleet.EventKind, cursor fleet.Cursor) {
		t.Helper()
		select {
		case e := <-events:
			if e.Kind != kind || e.Cursor != cursor {
				t.Errorf("event = %+v, want %s at %d", e, kind, cursor)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("no event, want %s at %d", kind, cursor)
		}
	}
	want(fleet.KindRelease, 2)
	id, err := f.Accept(identity)
	if err != nil {
		t.Fatal(err)
	}
	want(fleet.KindDevice, 3)
	if _, err := f.Deploy("release-1", id); err != nil {
		t.Fatal(err)
	}
	want(fleet.KindDeployment, 4)
	f.CheckIn(t.Context(), id, fleet.Report{Type: "board"})
	want(fleet.KindAssignment, 5)
	f.CheckIn(t.Context(), id, fleet.Report{Type: "board"}) // offered again: no news
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Watch ended with %v, want %v", err, context.Canceled)
	}
}

func TestOperatorNamesNothing(t *testing.T) {
	f := New(nil)
	if _, err := f.Accept(`{"sn":"1"}`); !errors.Is(err, errNone) {
		t.Errorf("Accept of nobody = %v, want %v", err, errNone)
	}
	if _, err := f.Deploy("none", "device-1"); !errors.Is(err, errNone) {
		t.Errorf("Deploy of nothing = %v, want %v", err, errNone)
	}
}
