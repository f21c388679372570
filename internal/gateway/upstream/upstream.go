// Package upstream stands between a server and the devices of a LAN: a
// verifying, caching proxy for exactly the paths of Mender's device API.
//
// It passes on what devices sign, and their tokens, as they are; it has no
// key of its own, so it can neither be a device nor sign for one, and what a
// device installs is for the device to verify. What it adds: an artifact
// crosses the uplink once, and while the uplink is down artifacts that are
// here are served, and reports are kept until it is back.
package upstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/moult-ota/moult/internal/link/httplink"
	"github.com/moult-ota/moult/internal/wire/menderapi"
)

// Options say for whom and how. Servers and Folder are needed.
type Options struct {
	Servers    []string // base addresses; the next one is asked when one does not answer
	Transport  http.RoundTripper
	Folder     string // for what must survive a restart
	CacheBytes int64  // of artifacts; 0: none are kept

	Devices  int           // that are remembered; 0 means 4096
	Reports  int           // that wait for the uplink; 0 means 4096
	Requests int           // at once; 0 means 1024
	PerHost  int           // of them, from one address; 0 means 64
	LinkTTL  time.Duration // of a link to an artifact; 0 means 48 hours
	Timeout  time.Duration // of one exchange with the server; 0 means 30 seconds
	Retry    time.Duration // between looks for the uplink; 0 means 15 seconds

	Now func() time.Time // nil means time.Now
	Log *slog.Logger     // nil discards
}

func (o Options) withDefaults() Options {
	o.Devices = or(o.Devices, 4096)
	o.Reports = or(o.Reports, 4096)
	o.Requests = or(o.Requests, 1024)
	o.PerHost = or(o.PerHost, 64)
	o.LinkTTL = or(o.LinkTTL, 48*time.Hour)
	o.Timeout = or(o.Timeout, 30*time.Second)
	o.Retry = or(o.Retry, 15*time.Second)
	if o.Transport == nil {
		o.Transport = http.DefaultTransport
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

func or[T comparable](v, zeroMeans T) T {
	var zero T
	if v == zero {
		return zeroMeans
	}
	return v
}

// A Proxy is an http.Handler for the devices.
type Proxy struct {
	Options
	servers servers
	devices *devices
	reports *reports
	cache   *cache
	links   seal
	mux     http.Handler
	room    room
}

// New opens what an earlier run left in the folder.
func New(o Options) (*Proxy, error) {
	o = o.withDefaults()
	p := &Proxy{Options: o, room: room{most: o.Requests, each: o.PerHost, of: map[string]int{}}}
	for _, text := range o.Servers {
		u, err := url.Parse(strings.TrimSuffix(text, "/"))
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil, fmt.Errorf("server address %q: want https://host[:port][/path]", text)
		}
		p.servers.all = append(p.servers.all, u)
	}
	if len(p.servers.all) == 0 {
		return nil, errors.New("no server to ask")
	}
	p.servers.client = &http.Client{Transport: o.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	p.servers.timeout = o.Timeout
	for _, name := range []string{"artifacts", "devices", "reports"} {
		if err := os.MkdirAll(filepath.Join(o.Folder, name), 0o700); err != nil {
			return nil, fmt.Errorf("open upstream: %w", err)
		}
	}
	var err error
	if p.links, err = openSeal(filepath.Join(o.Folder, "secret")); err != nil {
		return nil, err
	}
	if p.devices, err = openDevices(filepath.Join(o.Folder, "devices"), o.Devices); err != nil {
		return nil, err
	}
	if p.reports, err = openReports(filepath.Join(o.Folder, "reports"), o.Reports); err != nil {
		return nil, err
	}
	opener := httplink.NewOpener(o.Transport, o.Now)
	if p.cache, err = openCache(filepath.Join(o.Folder, "artifacts"), o.CacheBytes, opener, o.Log); err != nil {
		return nil, err
	}
	p.mux = p.routes()
	return p, nil
}

func (p *Proxy) routes() http.Handler {
	const v1, v2 = "/api/devices/v1/deployments/device/deployments/", "/api/devices/v2/deployments/device/deployments/"
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+menderapi.AuthPath, p.authenticate)
	mux.HandleFunc("POST "+menderapi.NextPath, p.next)
	mux.HandleFunc("POST "+menderapi.NextV1Path, p.next)
	mux.HandleFunc("GET "+menderapi.NextV1Path, p.next)
	mux.HandleFunc("PUT "+v1+"{id}/status", p.status)
	mux.HandleFunc("PUT "+v1+"{id}/log", p.log)
	mux.HandleFunc("GET "+v2+"{id}/update_control_map", p.pass(0, menderapi.MaxNextReply))
	mux.HandleFunc("PUT "+menderapi.InventoryPath, p.pass(menderapi.MaxInventoryBody, menderapi.MaxErrorBody))
	mux.HandleFunc("PATCH "+menderapi.InventoryPath, p.pass(menderapi.MaxInventoryBody, menderapi.MaxErrorBody))
	mux.HandleFunc("GET "+linkPath+"{deployment}/{device}", p.download)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fail(w, http.StatusNotFound, "no such path") })
	return mux
}

// ServeHTTP serves as many requests at once as it may.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	if !p.room.enter(host) {
		busy(w, "the gateway serves as many requests as it may")
		return
	}
	defer p.room.leave(host)
	p.mux.ServeHTTP(w, r)
}

// A room bounds what is served at once, so that one noisy device does not keep
// the others out.
type room struct {
	most, each int

	mu  sync.Mutex
	all int
	of  map[string]int // zero is deleted
}

func (r *room) enter(host string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all >= r.most || r.of[host] >= r.each && host != insideHost {
		return false
	}
	r.all++
	r.of[host]++
	return true
}

func (r *room) leave(host string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all--
	if r.of[host]--; r.of[host] == 0 {
		delete(r.of, host)
	}
}

// Run hands over what waits for the uplink until ctx ends; downloads end then,
// too.
func (p *Proxy) Run(ctx context.Context) {
	defer p.cache.stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.reports.wake:
		case <-time.After(p.Retry):
		}
		p.handOver(ctx)
	}
}

// after is what devices are told when the uplink is down, in seconds.
const after = "60"

func busy(w http.ResponseWriter, text string) {
	w.Header().Set("Retry-After", after)
	fail(w, http.StatusServiceUnavailable, text)
}

func fail(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", menderapi.JSONType)
	w.WriteHeader(status)
	w.Write(menderapi.AppendError(nil, text, ""))
}
