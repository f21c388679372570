package frontendtest_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/blob/disk"
	"github.com/moult-ota/moult/internal/broker/embedded"
	"github.com/moult-ota/moult/internal/broker/guard"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/frontend/frontendtest"
	"github.com/moult-ota/moult/internal/frontend/frontendtest/mqttdevice"
	"github.com/moult-ota/moult/internal/frontend/mqtt"
	"github.com/moult-ota/moult/internal/packager"
	"github.com/moult-ota/moult/internal/session"
	"github.com/moult-ota/moult/internal/wire/object"
	"github.com/moult-ota/moult/internal/wire/securemsg"
)

// TestMQTTOverControl tells the story with the real control plane, and an
// embedded broker between the door and the devices.
func TestMQTTOverControl(t *testing.T) {
	frontendtest.Run(t, func(t *testing.T) frontendtest.World {
		c := &clock{start: time.Date(2026, 11, 23, 7, 6, 55, 0, time.UTC)}
		p := newPlane(t, c.now)
		addr := serveMQTT(t, p, c.now)
		return frontendtest.World{
			Operator: p, Records: p, Advance: c.advance,
			Grant: 2 * session.RekeyAge, Link: 40 * time.Hour,
			Device: func(t *testing.T, identity device.Identity) frontendtest.Device {
				return mqttdevice.New(t, addr, identity, c.now)
			},
		}
	})
}

// serveMQTT starts broker and door, and returns the broker's address.
func serveMQTT(t *testing.T, p plane, now func() time.Time) string {
	t.Helper()
	b, err := embedded.Start(embedded.Options{
		Dir: t.TempDir(), Authenticate: mqtt.Gate{Members: p.Control, Now: now}.Login, Limits: guard.Limits{PerSecond: 10_000},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = b.Serve(l) }()
	key, err := session.NewKey(securemsg.X25519, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	d, err := mqtt.New(mqtt.Options{
		Core: p.Control, Members: p.Control, Broker: b, Objects: newObjects(t),
		Keys: []session.ServerKey{{Suite: securemsg.X25519, Key: key}}, Expires: 40 * time.Hour, Now: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ran; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// objects is the packager as the door sees it.
type objects struct{ *packager.Packager }

func newObjects(t *testing.T) objects {
	t.Helper()
	dir := t.TempDir()
	blobs, err := disk.Open(filepath.Join(dir, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := packager.LoadKey(filepath.Join(dir, "key"), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p, err := packager.Open(t.Context(), blobs, packager.Folder(filepath.Join(dir, "shelf")), key, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return objects{p}
}

func (o objects) Object(sum string) (object.Spec, object.Key, error) {
	made, err := o.Packager.Object(sum)
	if errors.Is(err, packager.ErrNotFound) {
		err = mqtt.ErrNotMade
	}
	return made.Spec, made.Key, err
}

func (o objects) Make(ctx context.Context, sum string, c fleet.Content) error {
	_, err := o.Packager.Make(ctx, sum, c.Artifact().Size, c)
	return err
}

func (o objects) Open(ctx context.Context, oid object.OID) (mqtt.Pieces, error) {
	r, err := o.Packager.Open(ctx, oid)
	return pieces{r}, err
}

type pieces struct{ *packager.Reader }

func (p pieces) Spec() object.Spec { return p.Reader.Spec }
