// Package storetest holds the suite that every dialect of package store
// passes, and a PostgreSQL server for tests.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/inventory"
	"github.com/moult-ota/moult/internal/store"
)

// An Opener opens one database, the same at each call: the suite opens it
// twice to see what lasts, and to be two servers at once.
type Opener func(t testing.TB) (*store.DB, error)

// Run runs the suite; fresh returns an Opener of a new, empty database.
func Run(t *testing.T, fresh func(t testing.TB) Opener) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, Opener)
	}{
		{"update is all or nothing", updateIsAtomic},
		{"updates in a group do not harm each other", groupIsolates},
		{"a panic reaches its caller alone", panicReachesCaller},
		{"counter is gapless over two servers", counterIsGapless},
		{"what was acknowledged is there after opening again", lasts},
		{"a newer schema is refused", newerIsRefused},
		{"a view sees one moment", viewIsStable},
		{"changed tells of a commit", changedTells},
		{"own tells servers apart", ownTells},
		{"devices", devices},
		{"device counts", deviceCounts},
		{"keys and inventory", keysAndInventory},
		{"members", members},
		{"releases", releases},
		{"deployments and assignments", assignments},
		{"implied devices", impliedDevices},
		{"many assignments move at once", bulk},
		{"standing", standing},
		{"events", events},
		{"tokens, secrets, answers, logs", kept},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, fresh(t)) })
	}
}

func opened(t testing.TB, open Opener) *store.DB {
	t.Helper()
	db, err := open(t)
	must(t, err)
	t.Cleanup(func() { db.Close() })
	return db
}

var at = time.Date(2026, 5, 4, 3, 2, 1, 987654000, time.UTC)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func value[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		must(t, err)
		return v
	}
}

func equal[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		t.Errorf("%s:\n got %s\nwant %s", what, g, w)
	}
}

func update(t testing.TB, db *store.DB, fn func(*store.Tx) error) {
	t.Helper()
	must(t, db.Update(t.Context(), fn))
}

var errOnPurpose = errors.New("on purpose")

func updateIsAtomic(t *testing.T, open Opener) {
	db := opened(t, open)
	err := db.Update(t.Context(), func(tx *store.Tx) error {
		return errors.Join(tx.PutSecret("a", []byte("1")), errOnPurpose)
	})
	if !errors.Is(err, errOnPurpose) {
		t.Errorf("Update = %v, want the error of fn", err)
	}
	if _, err := db.Read(t.Context()).Secret("a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Secret after an undone update = %v, want ErrNotFound", err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.Update(canceled, func(*store.Tx) error { t.Error("fn ran"); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("Update with an ended context = %v, want Canceled", err)
	}
}

// groupIsolates runs many updates at once, of which every third fails after
// it wrote, and one breaks a rule of the database.
func groupIsolates(t *testing.T, open Opener) {
	db := opened(t, open)
	const n = 300
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			err := db.Update(t.Context(), func(tx *store.Tx) error {
				tx.Next()
				if err := tx.PutSecret(fmt.Sprint(i), []byte{1}); err != nil || i%3 != 0 {
					return err
				}
				if i%2 == 0 { // a broken rule aborts a whole transaction in PostgreSQL
					return tx.InsertAssignment(deployment.Assignment{Deployment: "none", Device: "none"})
				}
				return errOnPurpose
			})
			if (err != nil) != (i%3 == 0) {
				t.Errorf("Update %d = %v", i, err)
			}
		})
	}
	wg.Wait()
	for i := range n {
		_, err := db.Read(t.Context()).Secret(fmt.Sprint(i))
		if errors.Is(err, store.ErrNotFound) != (i%3 == 0) {
			t.Errorf("Secret %d = %v", i, err)
		}
	}
	if c := value[fleet.Cursor](t)(db.Read(t.Context()).LastEvent()); c != n-n/3 {
		t.Errorf("counter = %d, want %d: undone updates take no numbers", c, n-n/3)
	}
}

func panicReachesCaller(t *testing.T, open Opener) {
	db := opened(t, open)
	func() {
		defer func() {
			if r := recover(); r != "on purpose" {
				t.Errorf("recovered %v, want the panic of fn", r)
			}
		}()
		_ = db.Update(t.Context(), func(tx *store.Tx) error { _ = tx.PutSecret("p", nil); panic("on purpose") })
	}()
	update(t, db, func(tx *store.Tx) error { return tx.PutSecret("q", []byte{}) })
	if _, err := db.Read(t.Context()).Secret("p"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Secret written before a panic = %v, want ErrNotFound", err)
	}
}

func counterIsGapless(t *testing.T, open Opener) {
	a, b := opened(t, open), opened(t, open)
	const each = 60
	var wg sync.WaitGroup
	for _, db := range []*store.DB{a, b} {
		for range each {
			wg.Go(func() {
				if err := db.Update(t.Context(), func(tx *store.Tx) error {
					return tx.AddEvent(fleet.Event{At: at, Kind: fleet.KindDevice, Device: "d"})
				}); err != nil {
					t.Errorf("Update: %v", err)
				}
			})
		}
	}
	wg.Wait()
	all := value[[]fleet.Event](t)(a.Read(t.Context()).Events(0, 1000))
	if len(all) != 2*each {
		t.Fatalf("%d events, want %d", len(all), 2*each)
	}
	for i, e := range all {
		if e.Cursor != fleet.Cursor(i+1) {
			t.Fatalf("event %d has cursor %d, want no gap", i+1, e.Cursor)
		}
	}
}

func lasts(t *testing.T, open Opener) {
	db := opened(t, open)
	update(t, db, func(tx *store.Tx) error { return tx.PutSecret("s", []byte("kept")) })
	again := opened(t, open)
	got := value[[]byte](t)(again.Read(t.Context()).Secret("s"))
	equal(t, "Secret after opening again", string(got), "kept")
}

func newerIsRefused(t *testing.T, open Opener) {
	db := opened(t, open)
	must(t, store.PretendNewer(t.Context(), db))
	if _, err := open(t); !errors.Is(err, store.ErrNewer) {
		t.Errorf("open a newer schema = %v, want ErrNewer", err)
	}
}

func viewIsStable(t *testing.T, open Opener) {
	db := opened(t, open)
	must(t, db.View(t.Context(), func(r store.Reader) error {
		before := value[fleet.Cursor](t)(r.LastEvent())
		update(t, db, func(tx *store.Tx) error { tx.Next(); return nil })
		equal(t, "counter in a view after a write", value[fleet.Cursor](t)(r.LastEvent()), before)
		return nil
	}))
	equal(t, "counter after it", value[fleet.Cursor](t)(db.Read(t.Context()).LastEvent()), 1)
}

func changedTells(t *testing.T, open Opener) {
	db := opened(t, open)
	changed := db.Changed()
	update(t, db, func(tx *store.Tx) error { return nil })
	select {
	case <-changed:
		t.Error("Changed told of a transaction that changed nothing")
	default:
	}
	update(t, db, func(tx *store.Tx) error { tx.Next(); return nil })
	select {
	case <-changed:
	case <-time.After(10 * time.Second):
		t.Error("Changed did not tell of a commit")
	}
}

func ownTells(t *testing.T, open Opener) {
	a, b := opened(t, open), opened(t, open)
	var want []bool
	for i := range 20 {
		db, mine := a, i%3 != 0
		if !mine {
			db = b
		}
		update(t, db, func(tx *store.Tx) error { tx.Next(); tx.Next(); return nil })
		want = append(want, mine, mine)
	}
	for i, mine := range want {
		if got := a.Own(int64(i + 1)); got != mine {
			t.Errorf("Own(%d) = %v, want %v", i+1, got, mine)
		}
	}
	if a.Own(1000) {
		t.Error("Own of a number that was not counted to = true")
	}
}

// sample is the n-th device; ids sort by n.
func sample(n int, s device.Status, typ string) store.Device {
	id := fmt.Sprintf("0190a000-0000-7000-8000-%012d", n)
	return store.Device{Device: device.Device{ID: device.ID(id), Identity: device.Identity(fmt.Sprintf(`{"mac":"%d"}`, n)),
		Status: s, Type: typ, Provides: map[string]string{"artifact_name": "r1"}, Release: "r1", CreatedAt: at}, Member: int64(n)}
}

func insert(t testing.TB, db *store.DB, all ...store.Device) {
	t.Helper()
	update(t, db, func(tx *store.Tx) error {
		for _, d := range all {
			if err := tx.InsertDevice(d); err != nil {
				return err
			}
		}
		return nil
	})
}

func devices(t *testing.T, open Opener) {
	db := opened(t, open)
	r := db.Read(t.Context())
	a, b, c := sample(1, device.Pending, "x"), sample(2, device.Accepted, "y"), sample(3, device.Accepted, "x")
	c.Parent, c.SeenAt = b.ID, at.Add(time.Hour)
	insert(t, db, a, b, c)
	equal(t, "Device", value[store.Device](t)(r.Device(c.ID)), c)
	equal(t, "DeviceByIdentity", value[store.Device](t)(r.DeviceByIdentity(b.Identity)), b)
	if _, err := r.Device("nobody"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Device(nobody) = %v, want ErrNotFound", err)
	}
	for _, f := range []struct {
		filter store.DeviceFilter
		want   []store.Device
	}{
		{store.DeviceFilter{Limit: 10}, []store.Device{c, b, a}},
		{store.DeviceFilter{Limit: 2}, []store.Device{c, b}},
		{store.DeviceFilter{Limit: 10, Before: b.ID}, []store.Device{a}},
		{store.DeviceFilter{Limit: 10, Status: device.Accepted, Type: "x"}, []store.Device{c}},
		{store.DeviceFilter{Limit: 10, Release: "r2"}, nil},
	} {
		equal(t, fmt.Sprintf("Devices(%+v)", f.filter), value[[]store.Device](t)(r.Devices(f.filter)), f.want)
	}
	gone := b
	gone.Status = device.Decommissioned
	update(t, db, func(tx *store.Tx) error { return tx.UpdateDevice(b, gone) })
	if _, err := r.DeviceByIdentity(b.Identity); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("DeviceByIdentity of a decommissioned device = %v, want ErrNotFound", err)
	}
	anew := sample(4, device.Pending, "")
	anew.Identity = b.Identity
	insert(t, db, anew)
	twice := sample(5, device.Pending, "")
	twice.Identity = b.Identity
	if err := db.Update(t.Context(), func(tx *store.Tx) error { return tx.InsertDevice(twice) }); err == nil {
		t.Error("two devices with one identity were stored")
	}
	update(t, db, func(tx *store.Tx) error {
		return errors.Join(tx.SetSeen([]device.ID{a.ID, "nobody"}, at.UnixMicro()), tx.SetSeen([]device.ID{a.ID}, at.UnixMicro()-5))
	})
	equal(t, "SeenAt", value[store.Device](t)(r.Device(a.ID)).SeenAt, at)
	equal(t, "Known", value[[]store.Known](t)(r.Known("", 10)), []store.Known{{ID: c.ID}})
}

func deviceCounts(t *testing.T, open Opener) {
	db := opened(t, open)
	insert(t, db, sample(1, device.Pending, ""), sample(2, device.Accepted, "x"), sample(3, device.Accepted, "y"))
	moved := sample(1, device.Accepted, "x")
	update(t, db, func(tx *store.Tx) error { return tx.UpdateDevice(sample(1, device.Pending, ""), moved) })
	r := db.Read(t.Context())
	equal(t, "CountDevices", value[int](t)(r.CountDevices(device.Accepted, "")), 3)
	equal(t, "CountDevices of type x", value[int](t)(r.CountDevices(device.Accepted, "x")), 2)
	equal(t, "CountDevices pending", value[int](t)(r.CountDevices(device.Pending, "")), 0)
	sum := 0
	for _, c := range value[[]store.Count](t)(r.DeviceCounts()) {
		sum += c.N
	}
	equal(t, "sum of DeviceCounts", sum, 3)
}

func keysAndInventory(t *testing.T, open Opener) {
	db := opened(t, open)
	d := sample(1, device.Pending, "")
	insert(t, db, d)
	k1 := device.Key{Fingerprint: "f1", PEM: "p1", Status: device.Pending, CreatedAt: at}
	k2 := device.Key{Fingerprint: "f0", PEM: "p2", Status: device.Pending, CreatedAt: at.Add(time.Second)}
	update(t, db, func(tx *store.Tx) error { return errors.Join(tx.PutKey(d.ID, k2), tx.PutKey(d.ID, k1)) })
	k1.Status = device.Accepted
	update(t, db, func(tx *store.Tx) error { return tx.PutKey(d.ID, k1) })
	r := db.Read(t.Context())
	equal(t, "Keys", value[[]device.Key](t)(r.Keys(d.ID)), []device.Key{k1, k2})
	update(t, db, func(tx *store.Tx) error { return tx.DeleteKey(d.ID, "f0") })
	equal(t, "Keys after DeleteKey", value[[]device.Key](t)(r.Keys(d.ID)), []device.Key{k1})

	equal(t, "Inventory of none", value[inventory.Attributes](t)(r.Inventory(d.ID)), inventory.Attributes{})
	a := inventory.Attributes{"n": 1.5, "s": "é", "l": []any{"a", 2.0}}
	update(t, db, func(tx *store.Tx) error { return tx.PutInventory(d.ID, a) })
	equal(t, "Inventory", value[inventory.Attributes](t)(r.Inventory(d.ID)), a)
	described := value[[]store.Described](t)(r.Described(store.DeviceFilter{Limit: 5}))
	if len(described) != 1 || described[0].Inventory["s"] != "é" || described[0].ID != d.ID {
		t.Errorf("Described = %+v", described)
	}
}

func art(n int, release string) store.Artifact {
	v := uint64(n)
	return store.Artifact{ID: fmt.Sprintf("a%d", n), Release: release, SHA256: fmt.Sprintf("sum%d", n), Size: 1 << 40,
		About: store.About{DeviceTypes: []string{"x"}, Depends: map[string][]string{"device_type": {"x"}},
			Provides: map[string]string{"artifact_name": release}, SecurityVersion: &v}, Note: "n", CreatedAt: at}
}

func releases(t *testing.T, open Opener) {
	db := opened(t, open)
	r := db.Read(t.Context())
	update(t, db, func(tx *store.Tx) error {
		return errors.Join(tx.InsertArtifact(art(1, "r1")), tx.InsertArtifact(art(2, "r2")), tx.InsertArtifact(art(3, "r1")))
	})
	got := value[store.Artifact](t)(r.Artifact("a3"))
	if got.SecurityVersion == nil || *got.SecurityVersion != 3 {
		t.Errorf("SecurityVersion = %v, want 3", got.SecurityVersion)
	}
	want := art(3, "r1")
	got.SecurityVersion, want.SecurityVersion = nil, nil
	equal(t, "Artifact", got, want)
	equal(t, "ArtifactBySum", value[store.Artifact](t)(r.ArtifactBySum("sum2")).ID, "a2")
	names := func(before int64) (all []string) {
		for _, x := range value[[]store.Release](t)(r.Releases(before, 10)) {
			all = append(all, fmt.Sprint(x.Name, x.Seq))
		}
		return all
	}
	equal(t, "Releases", names(1<<62), []string{"r22", "r11"})
	equal(t, "Releases before 2", names(2), []string{"r11"})
	if err := db.Update(t.Context(), func(tx *store.Tx) error { return tx.InsertArtifact(art(1, "r9")) }); err == nil {
		t.Error("the same bytes were stored twice")
	}
	update(t, db, func(tx *store.Tx) error {
		return errors.Join(tx.DeleteArtifact(art(2, "r2")), tx.DeleteArtifact(art(1, "r1")))
	})
	equal(t, "Releases after deleting", names(1<<62), []string{"r11"})
	equal(t, "Artifacts", len(value[[]store.Artifact](t)(r.Artifacts("r1"))), 1)
	if _, err := r.Release("r2"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Release(r2) = %v, want ErrNotFound", err)
	}
}

func plan(id string, seq int64, kind deployment.Kind, size int) store.Deployment {
	d := store.Deployment{Deployment: deployment.Deployment{ID: deployment.ID(id), Name: id, Release: "r", Status: deployment.Active,
		Target: deployment.Target{Kind: kind}, Size: size, Retries: 1, CreatedBy: "me", CreatedAt: at}, Seq: seq}
	if kind == deployment.All || kind == deployment.ByType {
		d.Implied = size
	}
	return d
}

func assignments(t *testing.T, open Opener) {
	db := opened(t, open)
	r := db.Read(t.Context())
	a, b := sample(1, device.Accepted, "x"), sample(2, device.Rejected, "x")
	insert(t, db, a, b)
	p, q := plan("p", 10, deployment.ByIDs, 0), plan("q", 11, deployment.ByIDs, 0)
	update(t, db, func(tx *store.Tx) error {
		if err := errors.Join(tx.InsertDeployment(p), tx.InsertDeployment(q)); err != nil {
			return err
		}
		n, err := tx.Enlist("p", []device.ID{a.ID, b.ID, "nobody"}, at)
		equal(t, "Enlist", n, 1)
		return errors.Join(err, tx.AddCount("p", deployment.Pending, 1))
	})
	row := deployment.Assignment{Deployment: "p", Device: a.ID, State: deployment.Pending, Attempt: 1, UpdatedAt: at}
	equal(t, "Assignment", value[deployment.Assignment](t)(r.Assignment("p", a.ID)), row)
	row.State, row.Artifact, row.Total, row.Detail = deployment.Downloading, "a1", 99, "words"
	update(t, db, func(tx *store.Tx) error {
		return errors.Join(tx.UpdateAssignment(row), tx.AddTransition(deployment.Transition{Deployment: "p", Device: a.ID,
			From: deployment.Pending, To: deployment.Downloading, Detail: "words", At: at}),
			tx.SetBytes("p", a.ID, 50), tx.SetBytes("p", a.ID, 20))
	})
	row.Bytes = 50
	equal(t, "Rows", value[[]deployment.Assignment](t)(r.Rows("p", deployment.Downloading, "", 5)), []deployment.Assignment{row})
	equal(t, "Rows pending", len(value[[]deployment.Assignment](t)(r.Rows("p", deployment.Pending, "", 5))), 0)
	equal(t, "Rows after the last", len(value[[]deployment.Assignment](t)(r.Rows("p", "", a.ID, 5))), 0)
	equal(t, "AssignmentsOf", value[[]deployment.Assignment](t)(r.AssignmentsOf(a.ID, 5)), []deployment.Assignment{row})
	equal(t, "OpenAssignments", value[[]deployment.Assignment](t)(r.OpenAssignments(a.ID)), []deployment.Assignment{row})
	equal(t, "CountOpen", value[int](t)(r.CountOpen("p")), 1)
	steps := value[[]deployment.Transition](t)(r.Transitions("p", a.ID))
	if len(steps) != 1 || steps[0].From != deployment.Pending || steps[0].To != deployment.Downloading || !steps[0].At.Equal(at) {
		t.Errorf("Transitions = %+v", steps)
	}
	p.Counts, p.Size = map[deployment.State]int{deployment.Downloading: 1}, 0
	equal(t, "Deployment", value[store.Deployment](t)(r.Deployment("p")), p)
	ids := func(f store.DeploymentFilter) (all []deployment.ID) {
		for _, d := range value[[]store.Deployment](t)(r.Deployments(f)) {
			all = append(all, d.ID)
		}
		return all
	}
	equal(t, "Deployments", ids(store.DeploymentFilter{Limit: 5}), []deployment.ID{"q", "p"})
	equal(t, "Deployments before 11", ids(store.DeploymentFilter{Limit: 5, Before: 11, Status: deployment.Active, Release: "r"}), []deployment.ID{"p"})
	p.Status, p.FinishedAt = deployment.Aborted, at
	update(t, db, func(tx *store.Tx) error { return tx.UpdateDeployment(p) })
	equal(t, "Deployments aborted", ids(store.DeploymentFilter{Limit: 5, Status: deployment.Aborted}), []deployment.ID{"p"})
	equal(t, "CountActive", value[int](t)(r.CountActive("r")), 1)
	equal(t, "OpenAssignments of an aborted deployment", len(value[[]deployment.Assignment](t)(r.OpenAssignments(a.ID))), 0)
}

func impliedDevices(t *testing.T, open Opener) {
	db := opened(t, open)
	insert(t, db, sample(1, device.Accepted, "x"), sample(2, device.Accepted, "y"), sample(3, device.Rejected, "x"),
		sample(4, device.Accepted, "x"), sample(9, device.Accepted, "x"))
	all, typed := plan("all", 5, deployment.All, 3), plan("typed", 6, deployment.ByType, 2)
	typed.Target.Type = "x"
	update(t, db, func(tx *store.Tx) error {
		return errors.Join(tx.InsertDeployment(all), tx.InsertDeployment(typed),
			tx.InsertAssignment(deployment.Assignment{Deployment: "all", Device: sample(1, "", "").ID, State: deployment.Done, UpdatedAt: at}),
			tx.LessImplied("all"))
	})
	r := db.Read(t.Context())
	equal(t, "Implied all", value[[]device.ID](t)(r.Implied(all, "", 9)), []device.ID{sample(2, "", "").ID, sample(4, "", "").ID})
	equal(t, "Implied typed", value[[]device.ID](t)(r.Implied(typed, sample(1, "", "").ID, 9)), []device.ID{sample(4, "", "").ID})
	var left []string
	for _, d := range value[[]store.Deployment](t)(r.ImpliedDeployments()) {
		left = append(left, fmt.Sprint(d.ID, d.Implied))
	}
	equal(t, "ImpliedDeployments", left, []string{"all2", "typed2"})
}

func bulk(t *testing.T, open Opener) {
	db := opened(t, open)
	const n = 120
	var ids []device.ID
	for i := range n {
		d := sample(i, device.Accepted, "x")
		insert(t, db, d)
		ids = append(ids, d.ID)
	}
	update(t, db, func(tx *store.Tx) error {
		if err := tx.InsertDeployment(plan("p", 1, deployment.ByIDs, n)); err != nil {
			return err
		}
		k, err := tx.Enlist("p", ids, at)
		equal(t, "Enlist", k, n)
		return err
	})
	rejected := sample(7, device.Rejected, "x")
	update(t, db, func(tx *store.Tx) error { return tx.UpdateDevice(sample(7, device.Accepted, "x"), rejected) })
	before := value[fleet.Cursor](t)(db.Read(t.Context()).LastEvent())
	move := func(m store.Move) (k int) {
		m.Deployment, m.At = "p", at
		update(t, db, func(tx *store.Tx) (err error) { k, err = tx.MoveAll(m); return err })
		return k
	}
	equal(t, "MoveAll to failed", move(store.Move{From: []deployment.State{deployment.Pending, deployment.Offered}, To: deployment.Failed, Detail: "why"}), n)
	equal(t, "MoveAll to failed again", move(store.Move{From: []deployment.State{deployment.Pending}, To: deployment.Failed}), 0)
	equal(t, "MoveAll afresh", move(store.Move{From: []deployment.State{deployment.Failed}, To: deployment.Pending, Fresh: true}), n-1)
	r := db.Read(t.Context())
	d := value[store.Deployment](t)(r.Deployment("p"))
	equal(t, "Counts", d.Counts, map[deployment.State]int{deployment.Pending: n - 1, deployment.Failed: 1})
	events := value[[]fleet.Event](t)(r.Events(before, 1000))
	equal(t, "number of events", len(events), 2*n-1)
	for i, e := range events {
		if e.Cursor != before+fleet.Cursor(i)+1 {
			t.Fatalf("event %d has cursor %d, want %d", i, e.Cursor, before+fleet.Cursor(i)+1)
		}
	}
	a := value[deployment.Assignment](t)(r.Assignment("p", ids[0]))
	if a.Attempt != 2 || a.State != deployment.Pending {
		t.Errorf("Assignment = %+v, want the second attempt pending", a)
	}
	steps := value[[]deployment.Transition](t)(r.Transitions("p", ids[0]))
	if len(steps) != 2 || steps[0].Detail != "why" || steps[1].From != deployment.Failed {
		t.Errorf("Transitions = %+v", steps)
	}
	equal(t, "rejected device", value[deployment.Assignment](t)(r.Assignment("p", rejected.ID)).State, deployment.Failed)
}

func standing(t *testing.T, open Opener) {
	db := opened(t, open)
	r := db.Read(t.Context())
	d := sample(1, device.Accepted, "x")
	insert(t, db, d, sample(2, device.Accepted, "x"))
	if _, _, err := r.Standing("nobody"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Standing(nobody) = %v, want ErrNotFound", err)
	}
	got, rows, err := r.Standing(d.ID)
	must(t, err)
	equal(t, "Standing", got, d)
	equal(t, "rows without a deployment", len(rows), 0)
	ended := plan("ended", 3, deployment.ByIDs, 1)
	ended.Status = deployment.Finished
	update(t, db, func(tx *store.Tx) error {
		err := errors.Join(tx.InsertDeployment(plan("p", 1, deployment.ByIDs, 1)), tx.InsertDeployment(plan("q", 2, deployment.All, 2)),
			tx.InsertDeployment(ended))
		for _, id := range []deployment.ID{"p", "q", "ended"} {
			err = errors.Join(err, tx.InsertAssignment(deployment.Assignment{Deployment: id, Device: d.ID, State: deployment.Offered,
				Artifact: "a", Attempt: 2, UpdatedAt: at}))
		}
		return err
	})
	_, rows, err = r.Standing(d.ID)
	must(t, err)
	of := map[deployment.ID]deployment.Assignment{}
	for _, a := range rows {
		of[a.Deployment] = a
	}
	equal(t, "deployments of the rows", slices.Sorted(maps.Keys(of)), []deployment.ID{"p", "q"})
	equal(t, "row", of["p"], deployment.Assignment{Deployment: "p", Device: d.ID, State: deployment.Offered, Artifact: "a", Attempt: 2})
}

func events(t *testing.T, open Opener) {
	db := opened(t, open)
	r := db.Read(t.Context())
	one := fleet.Event{At: at, Kind: fleet.KindDeployment, Deployment: "p", Detail: "active"}
	two := fleet.Event{At: at, Kind: fleet.KindAssignment, Device: "d", Deployment: "p", State: deployment.Done}
	update(t, db, func(tx *store.Tx) error { return errors.Join(tx.AddEvent(one), tx.AddEvent(two)) })
	one.Cursor, two.Cursor = 1, 2
	equal(t, "Events", value[[]fleet.Event](t)(r.Events(0, 9)), []fleet.Event{one, two})
	equal(t, "Events, one at most", value[[]fleet.Event](t)(r.Events(0, 1)), []fleet.Event{one})
	equal(t, "Events after 1", value[[]fleet.Event](t)(r.Events(1, 9)), []fleet.Event{two})
	update(t, db, func(tx *store.Tx) error {
		n, err := tx.ForgetEvents(2, 9)
		equal(t, "ForgetEvents", n, 1)
		return err
	})
	equal(t, "Events after forgetting", value[[]fleet.Event](t)(r.Events(0, 9)), []fleet.Event{two})
}

func kept(t *testing.T, open Opener) {
	db := opened(t, open)
	r := db.Read(t.Context())
	e := store.EnrolmentToken{ID: "e", Name: "line 1", Uses: 3, ExpiresAt: at, CreatedAt: at}
	k := store.Token{ID: "k", Name: "ci", Scopes: []string{"read"}, CreatedAt: at}
	update(t, db, func(tx *store.Tx) error {
		return errors.Join(tx.InsertEnrolmentToken(e, "h1"), tx.InsertToken(k, "h2"), tx.UseEnrolmentToken("e"))
	})
	e.Used = 1
	equal(t, "EnrolmentToken", value[store.EnrolmentToken](t)(r.EnrolmentToken("h1")), e)
	equal(t, "EnrolmentTokens", value[[]store.EnrolmentToken](t)(r.EnrolmentTokens()), []store.EnrolmentToken{e})
	equal(t, "Token", value[store.Token](t)(r.Token("h2")), k)
	equal(t, "Tokens", value[[]store.Token](t)(r.Tokens()), []store.Token{k})
	update(t, db, func(tx *store.Tx) error {
		n, err := tx.DeleteToken("k")
		m, err2 := tx.DeleteEnrolmentToken("no such")
		equal(t, "deleted", []int{n, m}, []int{1, 0})
		return errors.Join(err, err2)
	})
	if _, err := r.Token("h2"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Token after DeleteToken = %v, want ErrNotFound", err)
	}
	a := store.Answer{Key: "k", Hash: "h", At: at}
	update(t, db, func(tx *store.Tx) error { return tx.PutAnswer(a) })
	a.Status, a.Body = 201, []byte{0, 255}
	update(t, db, func(tx *store.Tx) error { return tx.PutAnswer(a) })
	equal(t, "Answer", value[store.Answer](t)(r.Answer("k")), a)
	update(t, db, func(tx *store.Tx) error { _, err := tx.ForgetAnswers(at.Add(1e9), 9); return err })
	if _, err := r.Answer("k"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Answer after ForgetAnswers = %v, want ErrNotFound", err)
	}
	d := sample(1, device.Accepted, "x")
	insert(t, db, d)
	update(t, db, func(tx *store.Tx) error {
		return errors.Join(tx.InsertDeployment(plan("p", 1, deployment.ByIDs, 1)),
			tx.InsertAssignment(deployment.Assignment{Deployment: "p", Device: d.ID, State: deployment.Done, UpdatedAt: at}),
			tx.PutLog("p", d.ID, []byte("one"), at), tx.PutLog("p", d.ID, []byte{0, 1}, at))
	})
	equal(t, "DeviceLog", value[[]byte](t)(r.DeviceLog("p", d.ID)), []byte{0, 1})
	equal(t, "HasLog", value[deployment.Assignment](t)(r.Assignment("p", d.ID)).HasLog, true)
}
