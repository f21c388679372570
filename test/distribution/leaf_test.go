package distribution_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/api/client"
	"github.com/moult-ota/moult/internal/broker"
	"github.com/moult-ota/moult/internal/broker/embedded"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/link"
	"github.com/moult-ota/moult/internal/link/mqttlink"
	"github.com/moult-ota/moult/internal/server"
	"github.com/moult-ota/moult/internal/server/servertest"
	"github.com/moult-ota/moult/internal/wire/mqttlogin"
	"github.com/moult-ota/moult/internal/wire/topic"
)

// TestFiftyDevicesBehindALeaf enrol through their gateway's broker and take a
// release of 8 MiB; over its uplink go at most 1.1 times as many bytes.
func TestFiftyDevicesBehindALeaf(t *testing.T) {
	t.Parallel()
	const n = 50
	direct, leaves := freeAddress(t), freeAddress(t)
	w := servertest.Start(t, func(o *server.Options) { o.MQTT, o.MQTTLeaves, o.MQTTRate = direct, leaves, "512KiB" })
	token, err := w.CreateEnrolmentToken(t.Context(), client.NewEnrolmentToken{Name: "site", Uses: n + 1})
	must(t, err)

	var down atomic.Int64
	gateway, addr := gatewayBroker(t, direct, leaves, token.Secret, &down)
	file := servertest.Artifact(t, "r2", "x", noise(8<<20))
	_, err = w.UploadArtifact(t.Context(), bytes.NewReader(file), client.UploadArtifactParams{})
	must(t, err)

	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	links := make([]*mqttlink.Link, n)
	var all sync.WaitGroup
	for i := range n {
		links[i] = newLink(t, addr, fmt.Sprint("child", i), func(o *mqttlink.Options) {
			o.Token = token.Secret
			o.Identity = device.Identity(fmt.Sprintf(`{"gateway":%q,"mac":"child%d"}`, gateway, i))
		})
		all.Go(func() {
			patiently(ctx, t, "join", func() error {
				o, err := links[i].Next(ctx, fromRelease("r1"))
				if err == nil && o.Deployment != "" {
					err = fmt.Errorf("offered %s before there was one", o.Deployment)
				}
				return err
			})
		})
	}
	all.Wait()
	t.Logf("%d children joined", n)
	_, err = w.CreateDeployment(ctx, client.NewDeployment{Release: "r2", Target: client.Target{Type: "x"}}, client.CreateDeploymentParams{})
	must(t, err)
	offers := make([]link.Offer, n)
	for i, l := range links {
		all.Go(func() {
			patiently(ctx, t, "ask for work", func() (err error) {
				if offers[i], err = l.Next(ctx, fromRelease("r1")); err == nil && offers[i].Deployment == "" {
					err = fmt.Errorf("nothing yet")
				}
				return err
			})
		})
	}
	all.Wait()
	before := down.Load()
	for i, l := range links {
		all.Go(func() {
			if got := download(t, l, offers[i].URI, 0); !bytes.Equal(got, file) {
				t.Errorf("child %d: %d bytes that are not the artifact's", i, len(got))
			}
		})
	}
	all.Wait()
	ratio := float64(down.Load()-before) / float64(len(file))
	t.Logf("%d children took %d bytes each; over the uplink went %.3f times as many", n, len(file), ratio)
	if ratio > uplinkLimit {
		t.Errorf("over the uplink went %.3f times the artifact, want at most %.1f", ratio, uplinkLimit)
	}
	must(t, links[0].Progress(ctx, fleet.Progress{Deployment: offers[0].Deployment, State: deployment.Done}))
}

// gatewayBroker is a gateway that is let in, and its broker, joined as a leaf.
// down counts what comes over its uplink.
func gatewayBroker(t *testing.T, direct, leaves, token string, down *atomic.Int64) (id, addr string) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	l := newLink(t, direct, "g", func(o *mqttlink.Options) {
		o.Key, o.Token, o.Identity = key, token, `{"mac":"g","role":"gateway"}`
	})
	must(t, l.Authenticate(t.Context()))
	must(t, l.Close())
	b, err := embedded.Start(embedded.Options{
		Dir: t.TempDir(),
		// Who a device is, the server finds out; a gateway carries.
		Authenticate: func(context.Context, broker.Login) (topic.Role, error) { return topic.Device, nil },
		Upstream: &embedded.Upstream{
			Dial: func(ctx context.Context) (net.Conn, error) {
				c, err := new(net.Dialer).DialContext(ctx, "tcp", leaves)
				return metered{c, down}, err
			},
			Login: func() (string, string, error) {
				password, err := mqttlogin.Sign(rand.Reader, key, l.ID(), time.Now(), time.Minute)
				return l.ID(), password, err
			},
		},
	})
	must(t, err)
	t.Cleanup(func() { b.Close() })
	door, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	go func() { _ = b.Serve(door) }()
	return l.ID(), door.Addr().String()
}

type metered struct {
	net.Conn
	down *atomic.Int64
}

func (m metered) Read(p []byte) (int, error) {
	n, err := m.Conn.Read(p)
	m.down.Add(int64(n))
	return n, err
}
