package frontendtest_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/blob/disk"
	"github.com/moult-ota/moult/internal/control"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/frontend/frontendtest"
	"github.com/moult-ota/moult/internal/frontend/frontendtest/menderdevice"
	"github.com/moult-ota/moult/internal/frontend/mender"
	"github.com/moult-ota/moult/internal/inventory"
	"github.com/moult-ota/moult/internal/store/sqlite"
)

// TestMenderOverControl tells the story with the real control plane behind
// the front end: SQLite, blobs on disk, real artifacts.
func TestMenderOverControl(t *testing.T) {
	frontendtest.Run(t, func(t *testing.T) frontendtest.World {
		c := &clock{start: time.Date(2026, 11, 22, 7, 6, 55, 0, time.UTC)}
		p := newPlane(t, c.now)
		url := serve(t, p, c.now)
		return frontendtest.World{
			Operator: p, Records: p, Advance: c.advance,
			Grant: 7 * 24 * time.Hour, Link: 48 * time.Hour,
			Device: func(t *testing.T, identity device.Identity) frontendtest.Device {
				return menderdevice.New(t, url, identity)
			},
		}
	})
}

func serve(t *testing.T, p plane, now func() time.Time) (url string) {
	t.Helper()
	secret, err := p.Secret(t.Context(), "mender")
	if err != nil {
		t.Fatal(err)
	}
	h, err := mender.New(mender.Options{Core: p.Control, Secret: secret, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

// A clock stands still until it is moved.
type clock struct {
	start  time.Time
	passed atomic.Int64
}

func (c *clock) now() time.Time          { return c.start.Add(time.Duration(c.passed.Load())) }
func (c *clock) advance(d time.Duration) { c.passed.Add(int64(d)) }

// A plane is the control plane as an operator of the story sees it.
type plane struct{ *control.Control }

func newPlane(t *testing.T, now func() time.Time) plane {
	t.Helper()
	dir := t.TempDir()
	db, err := sqlite.Open(t.Context(), filepath.Join(dir, "moult.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	blobs, err := disk.Open(filepath.Join(dir, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := control.New(control.Options{DB: db, Blobs: blobs, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return plane{c}
}

var ctx = context.Background()

// find returns the device and the key that it came with last.
func (p plane) find(identity device.Identity) (device.ID, string, error) {
	list, err := p.Devices(ctx, control.DeviceQuery{})
	if err != nil {
		return "", "", err
	}
	for _, d := range list.Items {
		if d.Identity == identity {
			detail, err := p.Device(ctx, d.ID)
			if err != nil || len(detail.Keys) == 0 {
				return "", "", fmt.Errorf("keys of %s: %v", d.ID, err)
			}
			return d.ID, detail.Keys[len(detail.Keys)-1].Fingerprint, nil
		}
	}
	return "", "", fmt.Errorf("no device has identity %s", identity)
}

func (p plane) Accept(identity device.Identity) (device.ID, error) {
	return p.judge(identity, device.Accepted)
}

func (p plane) Reject(identity device.Identity) error {
	_, err := p.judge(identity, device.Rejected)
	return err
}

func (p plane) judge(identity device.Identity, s device.Status) (device.ID, error) {
	id, fingerprint, err := p.find(identity)
	if err != nil {
		return "", err
	}
	return id, p.SetDeviceStatus(ctx, id, s, fingerprint, "")
}

func (p plane) Publish(release, deviceType string, size int) ([]byte, error) {
	payload := make([]byte, size)
	rand.NewChaCha8([32]byte([]byte(fmt.Sprintf("%32.32s", release)))).Read(payload) // does not compress
	var file bytes.Buffer
	err := artifact.Write(&file, artifact.Spec{
		Name: release, DeviceTypes: []string{deviceType}, PayloadType: "single-file",
		Files: []artifact.Source{{Name: "payload", Size: int64(size),
			Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(payload)), nil }}},
	})
	if err != nil {
		return nil, err
	}
	_, err = p.Upload(ctx, bytes.NewReader(file.Bytes()), "")
	return file.Bytes(), err
}

func (p plane) Deploy(release string, ids ...device.ID) (deployment.ID, error) {
	d, err := p.CreateDeployment(ctx, control.NewDeployment{
		Release: release, Target: deployment.Target{Kind: deployment.ByIDs, Devices: ids},
	})
	return d.ID, err
}

func (p plane) Abort(d deployment.ID) error { return p.AbortDeployment(ctx, d) }

func (p plane) Assignment(d deployment.ID, id device.ID) (deployment.Assignment, error) {
	list, err := p.Assignments(ctx, d, control.AssignmentQuery{})
	if err != nil {
		return deployment.Assignment{}, err
	}
	for _, a := range list.Items {
		if a.Device == id {
			return a, nil
		}
	}
	return deployment.Assignment{}, fmt.Errorf("deployment %s has no device %s", d, id)
}

func (p plane) LogText(d deployment.ID, id device.ID) (string, error) {
	text, err := p.DeploymentLog(ctx, d, id)
	return string(text), err
}

func (p plane) Inventory(id device.ID) (inventory.Attributes, error) {
	d, err := p.Device(ctx, id)
	return d.Inventory, err
}
