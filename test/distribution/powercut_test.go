package distribution_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/api/client"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/link"
	"github.com/moult-ota/moult/internal/link/mqttlink"
	"github.com/moult-ota/moult/internal/server"
	"github.com/moult-ota/moult/internal/server/servertest"
	"github.com/moult-ota/moult/internal/sim"
)

// A life is a device's storage over several power-ons.
type life struct {
	name  string
	dir   string
	key   ed25519.PrivateKey
	addr  string // of the broker
	token string
}

// run is one life of a device that downloads what it is offered, until it has
// all or its power is cut at the n-th disk operation; 0 is never. With nothing
// to do it ends at once.
func (l life) run(t *testing.T, n int) (file []byte, received int64, ops int, err error) {
	p := sim.PowerOn(t.Context())
	defer p.End()
	p.CutAfter(n)
	defer func() { ops = p.Operations() }()
	cache := sim.NewCache(p, filepath.Join(l.dir, "download"), uint64(n))
	defer cache.Detach()
	ctx, cancel := context.WithTimeout(p.Context(), 2*time.Minute)
	defer cancel()
	m, err := mqttlink.New(mqttlink.Options{
		Servers: []string{"mqtt://" + l.addr}, Identity: device.Identity(fmt.Sprintf(`{"mac":%q}`, l.name)), Type: "x", Key: l.key,
		Store: sim.NewStore(p, filepath.Join(l.dir, "session")), Cache: cache, Token: l.token,
	})
	if err != nil {
		return nil, 0, 0, err
	}
	defer m.Close()
	o, err := m.Next(ctx, fromRelease("r1"))
	if err != nil || o.Deployment == "" {
		return nil, 0, 0, err
	}
	_, before := m.Traffic()
	d := link.NewDownload(ctx, m, o.URI, 0, link.Patience{Tries: 20, Retry: 50 * time.Millisecond, RetryMax: 100 * time.Millisecond})
	defer d.Close()
	file, err = io.ReadAll(d)
	_, after := m.Traffic()
	return file, after - before, 0, err
}

// TestPowerCutAtEveryDiskOperation of a device that downloads through a
// broker: the next life has the artifact, exact in every byte, and asks again
// only for what had not been committed.
func TestPowerCutAtEveryDiskOperation(t *testing.T) {
	t.Parallel()
	addr := freeAddress(t)
	w := servertest.Start(t, func(o *server.Options) { o.MQTT, o.MQTTRate = addr, "64MiB" })
	token, err := w.CreateEnrolmentToken(t.Context(), client.NewEnrolmentToken{Name: "line"})
	must(t, err)
	born := func(name string) (l life, file []byte, end func()) { // each with an artifact of its own, so that none shares a carousel
		payload := append(noise(1300<<10), name...)
		file = servertest.Artifact(t, "for-"+name, "x", payload)
		if _, err := w.UploadArtifact(t.Context(), bytes.NewReader(file), client.UploadArtifactParams{}); err != nil {
			t.Error(err)
		}
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Error(err)
		}
		l = life{name, t.TempDir(), key, addr, token.Secret}
		if _, _, _, err := l.run(t, 0); err != nil {
			t.Errorf("%s: join: %v", name, err)
		}
		target := client.Target{Devices: []string{w.ID(name)}}
		d, err := w.CreateDeployment(t.Context(), client.NewDeployment{Release: "for-" + name, Target: target}, client.CreateDeploymentParams{})
		if err != nil {
			t.Error(err)
		}
		return l, file, func() {
			if _, err := w.AbortDeployment(t.Context(), d.ID, client.AbortDeploymentParams{}); err != nil {
				t.Error(err)
			}
		}
	}
	l, want, _ := born("clean")
	file, whole, ops, err := l.run(t, 0)
	if err != nil || !bytes.Equal(file, want) {
		t.Fatalf("clean run: %d bytes, %v", len(file), err)
	}
	var all sync.WaitGroup
	var least atomic.Int64
	least.Store(whole)
	each := make(chan int)
	for range 4 {
		all.Go(func() {
			for n := range each {
				l, want, end := born(fmt.Sprint("cut-", n))
				if got, _, _, err := l.run(t, n); err == nil && n < ops {
					t.Errorf("cut at %d of %d: the download went on to %d bytes", n, ops, len(got))
				}
				got, received, _, err := l.run(t, 0)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("cut at %d of %d: the next life has %d bytes, %v", n, ops, len(got), err)
				}
				end()
				for old := least.Load(); received < old && !least.CompareAndSwap(old, received); old = least.Load() {
				}
			}
		})
	}
	for n := 1; n <= ops; n++ {
		if n > 60 && n < ops-60 && n%3 != 0 { // in between, one chunk is written as another is
			continue
		}
		each <- n
	}
	close(each)
	all.Wait()
	t.Logf("%d disk operations; the whole takes %d bytes on the line, the life after the last cut took %d", ops, whole, least.Load())
	if least.Load() > whole/2 {
		t.Errorf("after a late cut %d bytes of %d came again, want the rest only", least.Load(), whole)
	}
}
