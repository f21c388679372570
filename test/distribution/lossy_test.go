package distribution_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/api/client"
	"github.com/moult-ota/moult/internal/broker/brokertest/hostile"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/link"
	"github.com/moult-ota/moult/internal/link/mqttlink"
	"github.com/moult-ota/moult/internal/server/servertest"
)

// TestBadLine: 100 devices take a release over a line that loses a fifth of
// all messages, doubles a twentieth, lets some overtake others and is cut
// every 30 seconds, by a broker that forgets everything twice. All of them
// get there.
func TestBadLine(t *testing.T) {
	t.Parallel()
	const devices = 100
	s := newScene(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	token, err := s.CreateEnrolmentToken(t.Context(), client.NewEnrolmentToken{Name: "line", Uses: devices})
	must(t, err)
	payload := noise(192 << 10)
	file := servertest.Artifact(t, "r2", "x", payload)
	_, err = s.UploadArtifact(t.Context(), bytes.NewReader(file), client.UploadArtifactParams{})
	must(t, err)
	s.enemy.Mangle(hostile.Lossy(seed, hostile.Odds{Lose: 0.2, Double: 0.05, Late: 0.2}))
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	go cutEvery(ctx, s.enemy, 30*time.Second)

	began := time.Now()
	var all sync.WaitGroup
	var mu sync.Mutex
	joined, done := 0, 0
	ready := make(chan struct{})
	for i := range devices {
		l := newLink(t, s.enemy.Addr(), fmt.Sprintf("d%d", i), func(o *mqttlink.Options) { o.Token = token.Secret })
		all.Go(func() {
			patiently(ctx, t, "join", func() error {
				o, err := l.Next(ctx, fromRelease("r1"))
				if err == nil && o.Deployment != "" {
					err = fmt.Errorf("offered %s before there was one", o.Deployment)
				}
				return err
			})
			mu.Lock()
			if joined++; joined == devices {
				close(ready)
			}
			mu.Unlock()
			select {
			case <-ready:
			case <-ctx.Done():
				return
			}
			if update(ctx, t, l, file) {
				mu.Lock()
				done++
				mu.Unlock()
			}
		})
	}
	select {
	case <-ready:
	case <-ctx.Done():
		t.Fatalf("%d of %d devices joined in %v", joined, devices, time.Since(began))
	}
	t.Logf("%d devices joined after %v", devices, time.Since(began).Round(time.Second))
	_, err = s.CreateDeployment(t.Context(), client.NewDeployment{Release: "r2", Target: client.Target{Type: "x"}}, client.CreateDeploymentParams{})
	must(t, err)
	time.AfterFunc(2*time.Second, s.enemy.Wipe)
	time.AfterFunc(6*time.Second, s.enemy.Wipe)
	all.Wait()
	t.Logf("%d of %d devices were done after %v", done, devices, time.Since(began).Round(time.Second))
	if done != devices {
		t.Errorf("%d of %d devices were done", done, devices)
	}
	page, err := s.ListDeployments(t.Context(), client.ListDeploymentsParams{})
	must(t, err)
	if d := page.Items[0]; d.Status != "finished" || d.Counts[string(deployment.Done)] != devices {
		t.Errorf("the server says %s with %v, want finished with %d done", d.Status, d.Counts, devices)
	}
}

func cutEvery(ctx context.Context, b *hostile.Broker, d time.Duration) {
	for tick := time.NewTicker(d); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			b.Wipe()
		}
	}
}

// patiently does something until it succeeds.
func patiently(ctx context.Context, t *testing.T, what string, do func() error) {
	for ctx.Err() == nil {
		err := do()
		if err == nil {
			return
		}
		if errors.Is(err, fleet.ErrCanceled) || errors.Is(err, fleet.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
			return
		}
		_ = link.Sleep(ctx, 200*time.Millisecond)
	}
}

// update takes one device through an update as an agent does.
func update(ctx context.Context, t *testing.T, l link.Link, want []byte) bool {
	var o link.Offer
	patiently(ctx, t, "ask for work", func() (err error) {
		if o, err = l.Next(ctx, fromRelease("r1")); err == nil && o.Deployment == "" {
			err = errors.New("nothing yet")
		}
		return err
	})
	say := func(state deployment.State) {
		patiently(ctx, t, string(state), func() error {
			return l.Progress(ctx, fleet.Progress{Deployment: o.Deployment, State: state})
		})
	}
	say(deployment.Downloading)
	d := link.NewDownload(ctx, l, o.URI, 0, link.Patience{Tries: 100, Retry: 200 * time.Millisecond, RetryMax: time.Second})
	defer d.Close()
	got, err := io.ReadAll(d)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("download = %d bytes, %v, want %d", len(got), err, len(want))
		return false
	}
	for _, state := range []deployment.State{deployment.Installing, deployment.Rebooting, deployment.Trying, deployment.Done} {
		say(state)
	}
	return ctx.Err() == nil
}
