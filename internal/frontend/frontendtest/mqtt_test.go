package frontendtest_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/blob/disk"
	"github.com/moult-ota/moult/internal/broker"
	"github.com/moult-ota/moult/internal/broker/embedded"
	"github.com/moult-ota/moult/internal/broker/guard"
	external "github.com/moult-ota/moult/internal/broker/mqtt"
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
	tellMQTT(t, embed, 1)
}

// TestMQTTOverReplicas tells it with three doors on one broker: any of them
// may serve any device.
func TestMQTTOverReplicas(t *testing.T) {
	tellMQTT(t, embed, 3)
}

// TestMQTTOverMosquitto tells it with a broker that others make.
func TestMQTTOverMosquitto(t *testing.T) {
	tellMQTT(t, mosquitto, 1)
}

// A between starts a broker for the members of a plane, and says where
// devices find it.
type between func(t *testing.T, p plane, now func() time.Time) (b broker.Broker, addr string)

func tellMQTT(t *testing.T, start between, doors int) {
	frontendtest.Run(t, func(t *testing.T) frontendtest.World {
		c := &clock{start: time.Date(2026, 11, 23, 7, 6, 55, 0, time.UTC)}
		p := newPlane(t, c.now)
		b, addr := start(t, p, c.now)
		key, err := session.NewKey(securemsg.X25519, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		made := newObjects(t)
		for range doors {
			serveMQTT(t, mqtt.Options{
				Core: p.Control, Members: p.Control, Broker: b, Objects: made, Replicas: doors > 1,
				Keys: []session.ServerKey{{Suite: securemsg.X25519, Key: key}}, Expires: 40 * time.Hour, Now: c.now,
			})
		}
		return frontendtest.World{
			Operator: p, Records: p, Advance: c.advance,
			Grant: 2 * session.RekeyAge, Link: 40 * time.Hour,
			Device: func(t *testing.T, identity device.Identity) frontendtest.Device {
				return mqttdevice.New(t, addr, identity, c.now)
			},
		}
	})
}

func embed(t *testing.T, p plane, now func() time.Time) (broker.Broker, string) {
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
	return b, l.Addr().String()
}

// mosquitto is Debian's, which lets everybody in: who a device is, its
// session proves.
func mosquitto(t *testing.T, _ plane, _ func() time.Time) (broker.Broker, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr)
	l.Close()
	conf := filepath.Join(t.TempDir(), "mosquitto.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, "listener %d 127.0.0.1\nallow_anonymous true\npersistence false\nuser root\n", addr.Port), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/usr/sbin/mosquitto", "-c", conf)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	var b *external.Broker
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if b, err = external.Dial(t.Context(), external.Options{URL: "mqtt://" + addr.String(), ClientID: "server"}); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { b.Close() })
	return b, addr.String()
}

// serveMQTT opens a door behind a broker.
func serveMQTT(t *testing.T, o mqtt.Options) {
	t.Helper()
	d, err := mqtt.New(o)
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
