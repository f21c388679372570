package sim

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"log/slog"
	mrand "math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moult-ota/moult/internal/agent"
	"github.com/moult-ota/moult/internal/broker"
	"github.com/moult-ota/moult/internal/broker/embedded"
	"github.com/moult-ota/moult/internal/broker/guard"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/link/mqttlink"
	"github.com/moult-ota/moult/internal/wire/mqttlogin"
	"github.com/moult-ota/moult/internal/wire/topic"
)

// A post is the broker of a gateway: devices behind it reach the server's
// broker through one connection.
type post struct {
	id     string // the gateway's, on the wire
	addr   string // for devices
	broker *embedded.Broker
	uplink traffic
}

// traffic counts bytes, both ways.
type traffic struct{ n atomic.Int64 }

// dial connects, and counts.
func (t *traffic) dial(ctx context.Context, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return counted{c, t}, nil
}

type counted struct {
	net.Conn
	t *traffic
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.t.n.Add(int64(n))
	return n, err
}

func (c counted) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.t.n.Add(int64(n))
	return n, err
}

// openPost enrols a gateway, and joins its broker to the site's.
func openPost(ctx context.Context, s *site, dir, token string, log *slog.Logger) (*post, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	l, err := mqttlink.New(mqttlink.Options{
		Servers: []string{"mqtt://" + s.options.MQTT}, Identity: `{"role":"gateway","serial":"gateway"}`, Type: "gateway",
		Key: key, Store: &box{}, Token: token, Log: log,
	})
	if err != nil {
		return nil, err
	}
	defer l.Close()
	if err := l.Authenticate(ctx); err != nil {
		return nil, fmt.Errorf("let the gateway in: %w", err)
	}
	p := &post{id: l.ID()}
	p.broker, err = embedded.Start(embedded.Options{
		Dir: filepath.Join(dir, "broker"), Log: log, Limits: guard.Limits{PerSecond: 10_000, PerAddress: maxDevices},
		// Who a device is, the server finds out; a gateway carries.
		Authenticate: func(context.Context, broker.Login) (topic.Role, error) { return topic.Device, nil },
		Upstream: &embedded.Upstream{
			Dial: func(ctx context.Context) (net.Conn, error) { return p.uplink.dial(ctx, s.options.MQTTLeaves) },
			Login: func() (string, string, error) {
				password, err := mqttlogin.Sign(rand.Reader, key, p.id, time.Now(), time.Minute)
				return p.id, password, err
			},
		},
	})
	if err != nil {
		return nil, err
	}
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.broker.Close()
		return nil, err
	}
	p.addr = door.Addr().String()
	go func() { _ = p.broker.Serve(door) }()
	return p, nil
}

// A box is a store without a disk, for a gateway that stays on.
type box struct{ text []byte }

func (b *box) Load() ([]byte, error)  { return b.text, nil }
func (b *box) Save(text []byte) error { b.text = slices.Clone(text); return nil }

// awaken returns the agent of a life, and what lets go of its way to the
// server.
func (m *Machine) awaken(p *Power, o agent.Options) (*agent.Agent, func(), error) {
	if m.broker == "" {
		a, err := agent.New(o)
		return a, func() {}, err
	}
	var awake atomic.Pointer[agent.Agent]
	files := NewCache(p, m.path("download"), m.seed^uint64(m.bootCount())<<32)
	l, err := mqttlink.New(mqttlink.Options{
		Servers: []string{"mqtt://" + m.broker}, Identity: m.identity(), Type: deviceType, Key: m.key,
		Store: store{p, m.path("session")}, Cache: files, Token: m.token, Dial: m.over.dial,
		Rand: mrand.New(mrand.NewPCG(m.seed, uint64(m.bootCount())<<16)), Log: m.log,
		Wake: func() {
			if a := awake.Load(); a != nil {
				a.Poll()
			}
		},
	})
	if err != nil {
		return nil, nil, err
	}
	o.Link = l
	a, err := agent.New(o)
	awake.Store(a)
	return a, func() { l.Close(); files.Detach() }, err
}

// A Cache is where downloads lie: files whose unsynced writes a cut may lose.
type Cache struct {
	power *Power
	dir   mqttlink.Folder
	seed  uint64
	mu    sync.Mutex
	open  map[string]*Disk // of this life
}

var _ mqttlink.Cache = (*Cache)(nil)

// NewCache returns the cache in a folder, for as long as there is power.
func NewCache(p *Power, dir string, seed uint64) *Cache {
	return &Cache{power: p, dir: mqttlink.Folder(dir), seed: seed, open: map[string]*Disk{}}
}

// Detach closes the files below, after a life.
func (c *Cache) Detach() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.open {
		d.detach()
	}
}

// Open implements mqttlink.Cache.
func (c *Cache) Open(name string) (mqttlink.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d := c.open[name]; d != nil {
		return cached{d}, nil
	}
	f, err := c.dir.Open(name) // makes folder and file
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	f.Close()
	if err != nil {
		return nil, err
	}
	rng := mrand.New(mrand.NewPCG(c.seed, uint64(len(c.open))))
	d, err := OpenDisk(c.power, rng, filepath.Join(string(c.dir), name), size)
	if err != nil {
		return nil, err
	}
	c.open[name] = d
	return cached{d}, nil
}

// Remove implements mqttlink.Cache.
func (c *Cache) Remove(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.power.do(func() error {
		if d := c.open[name]; d != nil {
			clear(d.dirty)
			d.file.Close()
			delete(c.open, name)
		}
		return c.dir.Remove(name)
	})
}

// Names implements mqttlink.Cache.
func (c *Cache) Names() (names []string, err error) {
	err = c.power.do(func() (err error) { names, err = c.dir.Names(); return err })
	return names, err
}

// Room implements mqttlink.Cache.
func (c *Cache) Room() (int64, error) { return c.dir.Room() }

// cached is a file of the cache; its size is what was written.
type cached struct{ *Disk }

func (c cached) Truncate(size int64) error {
	return c.power.do(func() error { return c.file.Truncate(size) })
}

// The links over which a world's bytes go.
const (
	byHTTP    = "HTTP"
	byMQTT    = "MQTT"
	byGateway = "MQTT behind a gateway"
	uplink    = "  that gateway's uplink"
)

// road is the link of a machine.
func (w *World) road(m *Machine) string {
	switch {
	case m.broker == "":
		return byHTTP
	case m.gateway == "":
		return byMQTT
	}
	return byGateway
}

// roads is how many bytes went over each link, operators' included.
func (w *World) roads() map[string]int64 {
	all := map[string]int64{byHTTP: w.site.lines.traffic.n.Load() + w.site.gone}
	for _, m := range w.machines {
		if m.broker != "" {
			all[w.road(m)] += m.over.n.Load()
		}
	}
	if w.post != nil {
		all[uplink] = w.post.uplink.n.Load()
	}
	return all
}

// gatewayIdentity is that of a device behind a gateway.
func gatewayIdentity(name, gateway string) (device.Identity, error) {
	if gateway == "" {
		return device.ParseIdentity(fmt.Sprintf(`{"serial":%q}`, name))
	}
	return device.ParseIdentity(fmt.Sprintf(`{"serial":%q,"gateway":%q}`, name, gateway))
}
