package control_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/blob/disk"
	"github.com/moult-ota/moult/internal/control"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/store"
	"github.com/moult-ota/moult/internal/store/sqlite"
)

// A fixture is a control plane of its own, and short words for the stories.
type fixture struct {
	*control.Control
	t     testing.TB
	db    *store.DB
	clock *clock
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(time.Millisecond) // no two things happen at once
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func openSQLite(t testing.TB) *store.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "moult.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func newFixture(t testing.TB, change ...func(*control.Options)) *fixture {
	t.Helper()
	return fixtureOn(t, openSQLite(t), change...)
}

func fixtureOn(t testing.TB, db *store.DB, change ...func(*control.Options)) *fixture {
	t.Helper()
	return fixtureWith(t, db, t.TempDir(), change...)
}

func fixtureWith(t testing.TB, db *store.DB, dir string, change ...func(*control.Options)) *fixture {
	blobs, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, db: db, clock: &clock{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}}
	o := control.Options{DB: db, Blobs: blobs, Now: f.clock.Now}
	for _, c := range change {
		c(&o)
	}
	if f.Control, err = control.New(o); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

var ctx = context.Background()

// somePEM returns a new public key.
func somePEM(t testing.TB) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func identity(t testing.TB, mac string) device.Identity {
	t.Helper()
	i, err := device.ParseIdentity(fmt.Sprintf(`{"mac":%q}`, mac))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// accepted adds an accepted device that has reported what it runs.
func (f *fixture) accepted(mac, typ, release string) device.ID {
	f.t.Helper()
	id, err := f.Enroll(ctx, fleet.Credential{Identity: identity(f.t, mac), Key: somePEM(f.t)})
	if err == nil {
		f.t.Fatal("Enroll of an unknown device = nil, want ErrPending")
	}
	f.must(f.SetDeviceStatus(ctx, id, device.Accepted, "", ""))
	if typ != "" {
		f.idle(id, report(typ, release))
	}
	return id
}

func report(typ, release string, more ...string) fleet.Report {
	r := fleet.Report{Type: typ, Provides: map[string]string{"artifact_name": release}}
	for i := 0; i < len(more); i += 2 {
		r.Provides[more[i]] = more[i+1]
	}
	return r
}

// idle checks in and wants nothing to do.
func (f *fixture) idle(id device.ID, r fleet.Report) {
	f.t.Helper()
	a, err := f.CheckIn(ctx, id, r)
	if err != nil || a.Deployment != "" {
		f.t.Fatalf("CheckIn(%s, %v) = %+v, %v, want nothing to do", id, r, a, err)
	}
}

// told checks in and wants an assignment.
func (f *fixture) told(id device.ID, r fleet.Report) fleet.Assignment {
	f.t.Helper()
	a, err := f.CheckIn(ctx, id, r)
	if err != nil || a.Deployment == "" {
		f.t.Fatalf("CheckIn(%s, %v) = %+v, %v, want an assignment", id, r, a, err)
	}
	return a
}

func (f *fixture) report(id device.ID, d deployment.ID, states ...deployment.State) {
	f.t.Helper()
	for _, s := range states {
		if err := f.Progress(ctx, id, fleet.Progress{Deployment: d, State: s}); err != nil {
			f.t.Fatalf("Progress(%s, %s) = %v", id, s, err)
		}
	}
}

func (f *fixture) state(id device.ID, d deployment.ID) deployment.State {
	f.t.Helper()
	for cursor := ""; ; {
		l, err := f.Assignments(ctx, d, control.AssignmentQuery{Page: control.Page{Limit: 500, Cursor: cursor}})
		f.must(err)
		for _, a := range l.Items {
			if a.Device == id {
				return a.State
			}
		}
		if cursor = l.Next; cursor == "" {
			return ""
		}
	}
}

func (f *fixture) deploy(release string, t deployment.Target, retries int) deployment.ID {
	f.t.Helper()
	d, err := f.CreateDeployment(ctx, control.NewDeployment{Release: release, Target: t, Retries: retries})
	f.must(err)
	return d.ID
}

// spec is an artifact for tests.
func spec(name string, types ...string) artifact.Spec {
	body := []byte("payload of " + name + " for " + fmt.Sprint(types))
	return artifact.Spec{Name: name, DeviceTypes: types, PayloadType: "single-file",
		Provides: map[string]string{"rootfs-image.version": name},
		Files: []artifact.Source{{Name: "payload", Size: int64(len(body)),
			Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }}}}
}

func written(t testing.TB, s artifact.Spec) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := artifact.Write(&b, s); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func (f *fixture) upload(s artifact.Spec) control.Artifact {
	f.t.Helper()
	a, err := f.Upload(ctx, bytes.NewReader(written(f.t, s)), "")
	f.must(err)
	return a
}

var all = deployment.Target{Kind: deployment.All}
