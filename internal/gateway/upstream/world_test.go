package upstream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/fleet/fleettest"
	"github.com/moult-ota/moult/internal/frontend/frontendtest"
	"github.com/moult-ota/moult/internal/frontend/frontendtest/menderdevice"
	"github.com/moult-ota/moult/internal/frontend/mender"
	"github.com/moult-ota/moult/internal/gateway/upstream"
	"github.com/moult-ota/moult/internal/wire/menderapi"
)

// A clock starts at a whole second and moves when told.
type clock struct{ passed atomic.Int64 }

func (c *clock) now() time.Time {
	return time.Date(2026, 11, 22, 7, 6, 55, 0, time.UTC).Add(time.Duration(c.passed.Load()))
}

func (c *clock) advance(d time.Duration) { c.passed.Add(int64(d)) }

// An uplink is the line between gateway and server: it counts what it carries
// in both directions, and can be down.
type uplink struct {
	http.Transport
	bytes atomic.Int64
	down  atomic.Bool
	slow  atomic.Bool  // every piece takes its time
	limit atomic.Int64 // after so many bytes it goes down; 0: never
}

type counted struct {
	net.Conn
	u *uplink
}

func (c counted) Read(p []byte) (int, error) {
	if c.u.slow.Load() {
		time.Sleep(time.Millisecond)
	}
	n, err := c.Conn.Read(p)
	if c.u.carry(n) {
		c.Close()
		return 0, errors.New("line lost")
	}
	return n, err
}

func (c counted) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.u.carry(n)
	return n, err
}

func (u *uplink) carry(n int) (lost bool) {
	sum, limit := u.bytes.Add(int64(n)), u.limit.Load()
	if limit > 0 && sum > limit {
		u.down.Store(true)
	}
	return u.down.Load()
}

func newUplink() *uplink {
	u := &uplink{}
	u.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if u.down.Load() {
			return nil, errors.New("no route")
		}
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		return counted{c, u}, err
	}
	return u
}

func (u *uplink) cut() {
	u.down.Store(true)
	u.CloseIdleConnections()
}

func (u *uplink) mend() {
	u.limit.Store(0)
	u.down.Store(false)
}

// A world is a server, an uplink, and a gateway in front of a LAN.
type world struct {
	*testing.T
	fleet   *fleettest.Fleet
	clock   *clock
	server  *httptest.Server
	uplink  *uplink
	folder  string
	change  func(*upstream.Options)
	gateway *httptest.Server
	stop    func()
	spoil   atomic.Bool // the server sends other bytes than it promised

	mu    sync.Mutex
	heard []string // reports that came to the server
}

// hear notes a report.
func (w *world) hear(r *http.Request) {
	if !strings.HasSuffix(r.URL.Path, "/status") {
		return
	}
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	s, err := menderapi.ParseStatus(body)
	if err == nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.heard = append(w.heard, s.Status)
	}
}

func newWorld(t *testing.T, change func(*upstream.Options)) *world {
	t.Helper()
	w := &world{T: t, clock: &clock{}, uplink: newUplink(), folder: t.TempDir(), change: change}
	w.fleet = fleettest.New(w.clock.now)
	h, err := mender.New(mender.Options{Core: w.fleet, Secret: []byte("0123456789abcdef0123456789abcdef"), Now: w.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if w.spoil.Load() {
			rw = &spoiler{ResponseWriter: rw}
		}
		w.hear(r)
		h.ServeHTTP(rw, r)
	}))
	t.Cleanup(w.server.Close)
	w.start()
	t.Cleanup(func() { w.stop() })
	return w
}

// spoiler changes a byte far into an answer.
type spoiler struct {
	http.ResponseWriter
	n int
}

func (s *spoiler) Write(p []byte) (int, error) {
	if s.n < 9000 && s.n+len(p) > 9000 {
		p = append([]byte(nil), p...)
		p[9000-s.n] ^= 1
	}
	s.n += len(p)
	return s.ResponseWriter.Write(p)
}

// start begins a run of the gateway, on what the last one left.
func (w *world) start() {
	w.Helper()
	o := upstream.Options{
		Servers: []string{w.server.URL}, Transport: w.uplink, Folder: w.folder, CacheBytes: 8 << 20,
		Retry: 20 * time.Millisecond, Now: w.clock.now,
	}
	if w.change != nil {
		w.change(&o)
	}
	p, err := upstream.New(o)
	if err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Run(ctx)
	}()
	w.gateway = httptest.NewServer(p)
	w.stop = func() {
		w.gateway.CloseClientConnections()
		cancel()
		<-done
		w.gateway.Close()
	}
}

// restart is a power cut of the gateway.
func (w *world) restart(devices ...*menderdevice.Device) {
	w.Helper()
	w.stop()
	w.start()
	for _, d := range devices {
		d.Base = w.gateway.URL
	}
}

// join enrols a device through the gateway.
func (w *world) join(n int) (*menderdevice.Device, device.ID) {
	w.Helper()
	identity := device.Identity(fmt.Sprintf(`{"mac":"02:00:00:00:00:%02x"}`, n))
	d := menderdevice.New(w.T, w.gateway.URL, identity)
	if err := d.Enroll(w.Context()); !errors.Is(err, fleet.ErrUnauthorized) {
		w.Fatalf("Enroll of a new device = %v", err)
	}
	id, err := w.fleet.Accept(identity)
	if err != nil {
		w.Fatal(err)
	}
	if err := d.Enroll(w.Context()); err != nil {
		w.Fatal(err)
	}
	return d, id
}

const boardType = "board-1"

var report = fleet.Report{Type: boardType, Provides: map[string]string{"artifact_name": "release-1"}}

// offered checks a device in, and wants work.
func (w *world) offered(d *menderdevice.Device) frontendtest.Offer {
	w.Helper()
	o, err := d.CheckIn(w.Context(), report)
	if err != nil || o.Deployment == "" {
		w.Fatalf("CheckIn = %+v, %v, want an offer", o, err)
	}
	return o
}

func (w *world) publish(name string, size int, to ...device.ID) ([]byte, deployment.ID) {
	w.Helper()
	file, err := w.fleet.Publish(name, boardType, size)
	if err != nil {
		w.Fatal(err)
	}
	d, err := w.fleet.Deploy(name, to...)
	if err != nil {
		w.Fatal(err)
	}
	return file, d
}

func (w *world) state(d deployment.ID, id device.ID) deployment.State {
	w.Helper()
	a, err := w.fleet.Assignment(d, id)
	if err != nil {
		w.Fatal(err)
	}
	return a.State
}

// eventually waits for what another goroutine does.
func (w *world) eventually(what string, ok func() bool) {
	w.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.Fatalf("still not: %s", what)
		}
	}
}
