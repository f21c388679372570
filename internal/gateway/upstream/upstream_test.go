package upstream_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/frontend/frontendtest"
	"github.com/moult-ota/moult/internal/frontend/frontendtest/menderdevice"
	"github.com/moult-ota/moult/internal/gateway/upstream"
)

// TestStory: through a gateway all is as without one.
func TestStory(t *testing.T) {
	frontendtest.Run(t, func(t *testing.T) frontendtest.World {
		w := newWorld(t, nil)
		return frontendtest.World{
			Operator: w.fleet, Records: w.fleet, Advance: w.clock.advance,
			Grant: 7 * 24 * time.Hour, Link: 48 * time.Hour,
			Device: func(t *testing.T, identity device.Identity) frontendtest.Device {
				return menderdevice.New(t, w.gateway.URL, identity)
			},
		}
	})
}

// TestOneDownload: five devices at once, and the uplink carries the artifact
// once.
func TestOneDownload(t *testing.T) {
	w := newWorld(t, nil)
	const count, size = 5, 2 << 20
	var all []*menderdevice.Device
	var ids []device.ID
	for n := range count {
		d, id := w.join(n)
		all, ids = append(all, d), append(ids, id)
	}
	file, _ := w.publish("release-2", size, ids...)
	before := w.uplink.bytes.Load()
	w.uplink.slow.Store(true)
	var offers []frontendtest.Offer
	for _, d := range all {
		offers = append(offers, w.offered(d))
	}
	var wait sync.WaitGroup
	for n, d := range all {
		o := offers[n]
		wait.Go(func() {
			got, err := d.Download(t.Context(), o, 0)
			if err != nil || !bytes.Equal(got, file) {
				t.Errorf("Download = %d bytes, %v, want the artifact's %d", len(got), err, len(file))
			}
		})
	}
	wait.Wait()
	carried := w.uplink.bytes.Load() - before
	t.Logf("%d devices, artifact of %d bytes, uplink carried %d: %.4f times", count, len(file), carried, float64(carried)/float64(len(file)))
	if small := int64(len(file)) + 32<<10; carried > small {
		t.Errorf("the uplink carried %d bytes, want at most %d", carried, small)
	}
}

// TestOutage: what is here is installed while the uplink is down, and the
// server hears of it when it is back, also after a power cut of the gateway.
func TestOutage(t *testing.T) {
	w := newWorld(t, nil)
	first, id1 := w.join(1)
	second, id2 := w.join(2)
	file, d := w.publish("release-2", 64<<10, id1, id2)
	if got, err := first.Download(t.Context(), w.offered(first), 0); err != nil || !bytes.Equal(got, file) {
		t.Fatalf("Download = %d bytes, %v", len(got), err)
	}
	w.offered(second)
	w.uplink.cut()
	w.restart(first, second)

	if err := second.Enroll(t.Context()); err != nil {
		t.Errorf("Enroll in the outage = %v", err)
	}
	o := w.offered(second)
	if got, err := second.Download(t.Context(), o, 0); err != nil || !bytes.Equal(got, file) {
		t.Errorf("Download in the outage = %d bytes, %v", len(got), err)
	}
	for _, s := range []deployment.State{deployment.Downloading, deployment.Installing, deployment.Rebooting, deployment.Trying, deployment.Done} {
		if err := second.Progress(t.Context(), fleet.Progress{Deployment: d, State: s}); err != nil {
			t.Errorf("Progress(%s) in the outage = %v", s, err)
		}
	}
	if o, err := second.CheckIn(t.Context(), report); err == nil {
		t.Errorf("CheckIn after the end, in the outage = %+v, want an error", o)
	}
	if got := w.state(d, id2); got != deployment.Offered {
		t.Errorf("the server knows %s before it can know", got)
	}
	w.restart(first, second)
	w.uplink.mend()
	w.eventually("done at the server", func() bool { return w.state(d, id2) == deployment.Done })
	if got := w.state(d, id1); got != deployment.Offered {
		t.Errorf("the other device's state is %s", got)
	}
	a, err := w.fleet.Assignment(d, id2)
	if err != nil || a.State != deployment.Done {
		t.Errorf("Assignment = %+v, %v", a, err)
	}
	w.eventually("nothing waits", func() bool {
		left, _ := filepath.Glob(filepath.Join(w.folder, "reports", "*"))
		return len(left) == 0
	})
}

// TestLogInOutage: the log waits behind the reports.
func TestLogInOutage(t *testing.T) {
	w := newWorld(t, nil)
	dev, id := w.join(1)
	_, d := w.publish("release-2", 1<<10, id)
	w.offered(dev)
	w.uplink.cut()
	if err := dev.Progress(t.Context(), fleet.Progress{Deployment: d, State: deployment.Failed, Detail: "disk full"}); err != nil {
		t.Fatal(err)
	}
	if err := dev.Log(t.Context(), d, "no space left"); err != nil {
		t.Fatal(err)
	}
	w.uplink.mend()
	w.eventually("log at the server", func() bool {
		text, err := w.fleet.LogText(d, id)
		return err == nil && strings.Contains(text, "no space left")
	})
	if got := w.state(d, id); got != deployment.Failed {
		t.Errorf("state %s, want failed", got)
	}
}

// TestOrder: what a device says when the uplink is back comes after what it
// said before.
func TestOrder(t *testing.T) {
	w := newWorld(t, func(o *upstream.Options) { o.Retry = time.Hour })
	dev, id := w.join(1)
	_, d := w.publish("release-2", 1<<10, id)
	w.offered(dev)
	w.uplink.cut()
	if err := dev.Progress(t.Context(), fleet.Progress{Deployment: d, State: deployment.Downloading}); err != nil {
		t.Fatal(err)
	}
	w.uplink.mend()
	if err := dev.Progress(t.Context(), fleet.Progress{Deployment: d, State: deployment.Installing}); err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := strings.Join(w.heard, " "); got != "downloading installing" {
		t.Errorf("the server heard %q", got)
	}
}

// TestCanceledInOutage: a device that comes after the outage hears the truth.
func TestCanceledInOutage(t *testing.T) {
	w := newWorld(t, func(o *upstream.Options) { o.Retry = time.Hour })
	dev, id := w.join(1)
	_, d := w.publish("release-2", 1<<10, id)
	w.offered(dev)
	w.uplink.cut()
	if err := dev.Progress(t.Context(), fleet.Progress{Deployment: d, State: deployment.Downloading}); err != nil {
		t.Fatal(err)
	}
	if err := w.fleet.Abort(d); err != nil {
		t.Fatal(err)
	}
	w.uplink.mend()
	if err := dev.Progress(t.Context(), fleet.Progress{Deployment: d, State: deployment.Installing}); !errors.Is(err, fleet.ErrCanceled) {
		t.Errorf("Progress = %v, want %v", err, fleet.ErrCanceled)
	}
}

// TestWrongBytes: what is not what the server promised is given to nobody as a
// whole, and is not kept.
func TestWrongBytes(t *testing.T) {
	w := newWorld(t, nil)
	dev, id := w.join(1)
	file, _ := w.publish("release-2", 64<<10, id)
	o := w.offered(dev)
	w.spoil.Store(true)
	if got, err := dev.Download(t.Context(), o, 0); err == nil || len(got) >= len(file) {
		t.Errorf("Download of other bytes = %d bytes, %v", len(got), err)
	}
	left, _ := os.ReadDir(filepath.Join(w.folder, "artifacts"))
	if len(left) != 0 {
		t.Errorf("the cache keeps %v", left)
	}
	w.spoil.Store(false)
	if got, err := dev.Download(t.Context(), o, 0); err != nil || !bytes.Equal(got, file) {
		t.Errorf("Download of the right ones = %d bytes, %v", len(got), err)
	}
}

// TestResume: a download that the line or the gateway's power interrupts goes
// on where it was.
func TestResume(t *testing.T) {
	w := newWorld(t, nil)
	dev, id := w.join(1)
	file, _ := w.publish("release-2", 1<<20, id)
	o := w.offered(dev)
	before := w.uplink.bytes.Load()
	w.uplink.limit.Store(before + int64(len(file))/2)
	go dev.Download(t.Context(), o, 0)
	w.eventually("line lost", func() bool { return w.uplink.down.Load() })
	w.restart(dev)
	w.uplink.mend()
	if got, err := dev.Download(t.Context(), w.offered(dev), 0); err != nil || !bytes.Equal(got, file) {
		t.Fatalf("Download = %d bytes, %v", len(got), err)
	}
	if carried := w.uplink.bytes.Load() - before; carried > int64(len(file))*11/10 {
		t.Errorf("the uplink carried %d bytes for an artifact of %d", carried, len(file))
	}
	w.uplink.cut()
	got, err := dev.Download(t.Context(), o, 1000) // an old link, while it is good
	if err == nil && !bytes.Equal(got, file[1000:]) {
		t.Errorf("Download from 1000 = %d bytes", len(got))
	}
}

// TestBound: the cache stays below its size, and the oldest goes first.
func TestBound(t *testing.T) {
	const bound = 300 << 10
	w := newWorld(t, func(o *upstream.Options) { o.CacheBytes = bound })
	dev, id := w.join(1)
	for _, name := range []string{"release-2", "release-3", "release-4", "release-5"} {
		file, d := w.publish(name, 120<<10, id)
		if got, err := dev.Download(t.Context(), w.offered(dev), 0); err != nil || !bytes.Equal(got, file) {
			t.Fatalf("Download = %d bytes, %v", len(got), err)
		}
		for _, s := range []deployment.State{deployment.Downloading, deployment.Failed} {
			if err := dev.Progress(t.Context(), fleet.Progress{Deployment: d, State: s}); err != nil {
				t.Fatal(err)
			}
		}
		if n := folderSize(t, filepath.Join(w.folder, "artifacts")); n > bound || n == 0 {
			t.Errorf("after %s the cache has %d bytes, want at most %d", name, n, bound)
		}
	}
	file, _ := w.publish("too large", 400<<10, id)
	if got, err := dev.Download(t.Context(), w.offered(dev), 0); err != nil || !bytes.Equal(got, file) {
		t.Errorf("Download past the cache = %d bytes, %v", len(got), err)
	}
	w.restart(dev)
	if n := folderSize(t, filepath.Join(w.folder, "artifacts")); n > bound || n == 0 {
		t.Errorf("after a restart the cache has %d bytes", n)
	}
}

func folderSize(t *testing.T, dir string) (n int64) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		fi, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		n += fi.Size()
	}
	return n
}

// TestForgedToken: a token that the server never took opens nothing, also when
// nobody can be asked.
func TestForgedToken(t *testing.T) {
	w := newWorld(t, nil)
	dev, id := w.join(1)
	_, d := w.publish("release-2", 8<<10, id)
	if _, err := dev.Download(t.Context(), w.offered(dev), 0); err != nil {
		t.Fatal(err)
	}
	w.uplink.cut()
	parts := strings.Split(dev.Token, ".")
	thief := *dev
	for _, token := range []string{"", "x", parts[0] + "." + parts[1] + ".AAAA", parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 32))} {
		thief.Token = token
		if o, err := thief.CheckIn(t.Context(), report); err == nil {
			t.Errorf("CheckIn with token %q = %+v", token, o)
		}
		if err := thief.Progress(t.Context(), fleet.Progress{Deployment: d, State: deployment.Failed}); err == nil {
			t.Errorf("Progress with token %q was taken", token)
		}
	}
	other := menderdevice.New(t, w.gateway.URL, dev.Identity) // the same identity, another key
	if err := other.Enroll(t.Context()); err == nil {
		t.Error("another key got a token in the outage")
	}
	if err := dev.Enroll(t.Context()); err != nil {
		t.Errorf("the right key did not: %v", err)
	}
}

// TestRejected: whom the server has let out gets nothing in an outage.
func TestRejected(t *testing.T) {
	w := newWorld(t, nil)
	dev, id := w.join(1)
	w.publish("release-2", 8<<10, id)
	o := w.offered(dev)
	if _, err := dev.Download(t.Context(), o, 0); err != nil {
		t.Fatal(err)
	}
	if err := w.fleet.Reject(dev.Identity); err != nil {
		t.Fatal(err)
	}
	if err := dev.Enroll(t.Context()); !errors.Is(err, fleet.ErrUnauthorized) {
		t.Fatalf("Enroll of a rejected device = %v", err)
	}
	w.uplink.cut()
	if err := dev.Enroll(t.Context()); err == nil {
		t.Error("a rejected device got a token in the outage")
	}
	if o, err := dev.CheckIn(t.Context(), report); err == nil {
		t.Errorf("a rejected device was offered %+v", o)
	}
}

// TestFull: more reports than may wait stay with their devices.
func TestFull(t *testing.T) {
	w := newWorld(t, func(o *upstream.Options) { o.Reports = 3 })
	dev, id := w.join(1)
	_, d := w.publish("release-2", 1<<10, id)
	w.offered(dev)
	w.uplink.cut()
	for n := range 5 {
		err := dev.Progress(t.Context(), fleet.Progress{Deployment: d, State: deployment.Downloading, Bytes: int64(n)})
		if (err == nil) != (n < 3) {
			t.Errorf("report %d = %v", n+1, err)
		}
	}
	w.clock.advance(31 * 24 * time.Hour) // the clock is set, or somebody has long gone: nothing is lost but for room
	w.uplink.mend()
	if err := dev.Enroll(t.Context()); err != nil { // its token is too old by now
		t.Fatal(err)
	}
	w.eventually("nothing waits", func() bool {
		left, _ := filepath.Glob(filepath.Join(w.folder, "reports", "*"))
		return len(left) == 0
	})
	if got := w.state(d, id); got != deployment.Downloading {
		t.Errorf("the server knows %s, want what was kept", got)
	}
}

// TestOtherPaths: only what devices need is passed on.
func TestOtherPaths(t *testing.T) {
	w := newWorld(t, nil)
	before := w.uplink.bytes.Load()
	for _, path := range []string{"/", "/api/management/v1/devices", "/api/devices/v1/download/d1/x?expire=9999999999&signature=AAAA", "/ui/"} {
		resp, err := http.Get(w.gateway.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusNotFound && resp.StatusCode != http.StatusForbidden {
			t.Errorf("GET %s = %d", path, resp.StatusCode)
		}
	}
	big := strings.NewReader(strings.Repeat("x", 1<<20))
	resp, err := http.Post(w.gateway.URL+"/api/devices/v1/authentication/auth_requests", "application/json", big)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("an endless request = %d", resp.StatusCode)
	}
	if n := w.uplink.bytes.Load() - before; n != 0 {
		t.Errorf("%d bytes went up", n)
	}
}

// TestNoisyDevice: one address gets no more than its part.
func TestNoisyDevice(t *testing.T) {
	w := newWorld(t, func(o *upstream.Options) { o.PerHost = 2 })
	dev, id := w.join(1)
	file, _ := w.publish("release-2", 1<<20, id)
	o := w.offered(dev)
	w.uplink.limit.Store(w.uplink.bytes.Load() + 512<<10)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 2 { // downloads that wait for the uplink
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, o.Ref, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
	}
	w.eventually("line lost", func() bool { return w.uplink.down.Load() })
	w.uplink.mend() // the downloads wait a second before they try again
	if _, err := dev.CheckIn(t.Context(), report); err == nil {
		t.Error("a third request at once was served")
	}
	w.uplink.mend()
	cancel()
	w.eventually("room again", func() bool { _, err := dev.CheckIn(t.Context(), report); return err == nil })
	if got, err := dev.Download(t.Context(), o, 0); err != nil || !bytes.Equal(got, file) {
		t.Errorf("Download = %d bytes, %v", len(got), err)
	}
}
