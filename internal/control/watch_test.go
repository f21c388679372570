package control_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/control"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/store"
	"github.com/moult-ota/moult/internal/store/sqlite"
)

// take returns the next n events after the cursor.
func (f *fixture) take(after fleet.Cursor, n int) (all []fleet.Event) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for e, err := range f.Watch(ctx, after) {
		f.must(err)
		if all = append(all, e); len(all) == n {
			return all
		}
	}
	f.t.Fatalf("Watch ended after %d events, want %d: %+v", len(all), n, all)
	return nil
}

func TestWatchResumesAfterItsCursor(t *testing.T) {
	f := newFixture(t)
	id := f.accepted("1", "x", "r1") // pending, accepted, its report
	f.upload(spec("r2", "x"))
	d := f.deploy("r2", all, 0)
	f.told(id, report("x", "r1"))
	f.report(id, d, deployment.Downloading, deployment.Done)
	want := []fleet.EventKind{"device", "device", "device", "release", "deployment", "assignment", "assignment", "assignment", "deployment"}
	everything := f.take(0, len(want))
	for i, e := range everything {
		if e.Kind != want[i] || i > 0 && e.Cursor <= everything[i-1].Cursor {
			t.Fatalf("event %d = %+v, want a %s after the one before", i, e, want[i])
		}
	}
	if everything[7].State != deployment.Done || everything[8].Detail != "finished" {
		t.Errorf("last events = %+v", everything[7:])
	}
	for i := range everything[1:] {
		rest := f.take(everything[i].Cursor, len(want)-i-1)
		if rest[0] != everything[i+1] {
			t.Errorf("after %d: %+v, want %+v", everything[i].Cursor, rest[0], everything[i+1])
		}
	}
	next := make(chan fleet.Event)
	go func() { next <- f.take(everything[8].Cursor, 1)[0] }()
	f.must(f.Decommission(ctx, id))
	if e := <-next; e.Detail != string(device.Decommissioned) || e.Device != id {
		t.Errorf("waited for %+v, want the device decommissioned", e)
	}
}

// twoServers are two control planes on one store, both running.
func twoServers(t *testing.T, open func() *store.DB) (a, b *fixture) {
	a, b = fixtureOn(t, open()), fixtureOn(t, open())
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 2)
	for _, f := range []*fixture{a, b} {
		go func() { ended <- f.Run(ctx) }()
	}
	t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				t.Errorf("Run = %v", err)
			}
		}
	})
	return a, b
}

func TestServersFollowEachOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "moult.db")
	serversFollow(t, func() *store.DB {
		db, err := sqlite.Open(ctx, path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		return db
	})
}

func serversFollow(t *testing.T, open func() *store.DB) {
	a, b := twoServers(t, open)
	id := a.accepted("1", "x", "r1")
	r := report("x", "r1")
	a.idle(id, r)
	b.idle(id, r)
	b.idle(id, r) // it now remembers
	a.upload(spec("r2", "x"))
	d := a.deploy("r2", all, 0)
	b.soon("the deployment of the other server", func() bool {
		got, err := b.CheckIn(ctx, id, r)
		return err == nil && got.Deployment == d
	})
	b.must(b.AbortDeployment(ctx, d))
	a.soon("the abort", func() bool { got, err := a.CheckIn(ctx, id, r); return err == nil && got.Deployment == "" })
	a.must(a.SetDeviceStatus(ctx, id, device.Rejected, "", ""))
	b.soon("the rejection", func() bool { _, err := b.CheckIn(ctx, id, r); return errors.Is(err, fleet.ErrUnauthorized) })
}

func (f *fixture) soon(what string, ok func() bool) {
	f.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	f.t.Fatalf("%s was not seen by the other server", what)
}

// A server that has not heard of an abort yet offers nothing of it.
func TestStaleServerOffersNothingThatWasAborted(t *testing.T) {
	db := openSQLite(t)
	a, b := fixtureOn(t, db), fixtureOn(t, db) // neither runs, so neither follows
	id := a.accepted("1", "x", "r1")
	a.upload(spec("r2", "x"))
	d := a.deploy("r2", all, 0)
	other := b.accepted("2", "x", "r1")
	b.idle(other, report("x", "r1")) // b has read the active deployments
	a.must(a.AbortDeployment(ctx, d))
	b.idle(id, report("x", "r1"))
	a.wantState(id, d, deployment.Canceled)
}

func TestRunWritesLastContactsAndBytes(t *testing.T) {
	f := newFixture(t)
	id := f.accepted("1", "x", "r1")
	f.upload(spec("r2", "x"))
	d := f.deploy("r2", all, 0)
	total := f.told(id, report("x", "r1")).Artifact.Size
	f.report(id, d, deployment.Downloading)
	f.must(f.Progress(ctx, id, fleet.Progress{Deployment: d, State: deployment.Downloading, Bytes: total / 2}))
	f.clock.pass(time.Hour)
	heard := f.clock.Now()
	f.told(id, report("x", "r1"))
	if now, err := f.Device(ctx, id); err != nil || now.SeenAt.Before(heard.Truncate(time.Second)) {
		t.Errorf("before it is written, SeenAt = %v, %v, want %v or later", now.SeenAt, err, heard)
	}
	ctx, cancel := context.WithCancel(ctx)
	cancel() // it writes what is left when it ends
	f.must(f.Run(ctx))
	l, err := f.Assignments(t.Context(), d, control.AssignmentQuery{})
	f.must(err)
	if l.Items[0].Bytes != total/2 || l.Items[0].Total != total {
		t.Errorf("Assignment has %d of %d bytes, want half of %d", l.Items[0].Bytes, l.Items[0].Total, total)
	}
	got, err := f.Device(t.Context(), id)
	f.must(err)
	if got.SeenAt.Before(heard.Truncate(time.Second)) { // it is written to the second
		t.Errorf("SeenAt = %v, want %v or later", got.SeenAt, heard)
	}
}
