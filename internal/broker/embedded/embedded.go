// Package embedded is a broker inside this process: nats-server with its MQTT
// door, behind a guard. What clients may do is the table of wire/topic; all
// else is denied.
//
// It keeps nothing that is worth a backup: retained hints and what NATS needs
// for its own sessions.
package embedded

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/moult-ota/moult/internal/broker"
	"github.com/moult-ota/moult/internal/broker/guard"
	"github.com/moult-ota/moult/internal/wire/topic"
)

// Options say how a broker is started; the first two are needed.
type Options struct {
	Dir          string // folder for what NATS keeps
	Authenticate broker.Authenticate
	TLS          *tls.Config  // of the MQTT door; nil: listeners encrypt already, or are private
	Limits       guard.Limits // of the MQTT door
	Log          *slog.Logger // nil: none
	Cluster      Cluster      // zero: alone
	// Children names the devices behind a gateway whose broker joins as a leaf:
	// it may carry their messages. nil: none.
	Children func(ctx context.Context, gateway string) ([]string, error)
	Upstream *Upstream // the broker that this one is a leaf of; nil: none
}

// A Broker is a broker.Broker and a broker.Presence.
type Broker struct {
	server *server.Server
	guard  *guard.Guard
	conn   *nats.Conn
	keys   *keys
	joint  *joint
	log    *slog.Logger
	mqtt   string // address of the door behind the guard
	leaves string // and of the one for leaves

	authenticate broker.Authenticate
	children     func(context.Context, string) ([]string, error)

	mu     sync.Mutex
	doors  []net.Listener
	here   map[string]int
	ears   map[int]func(string, bool)
	nextID int
	hints  *retainer
	closed bool

	joined   map[string]net.Conn // of leaves, by gateway
	regroups map[string]bool     // gateways whose leaf joins anew soon
}

// maxStart bounds the start of NATS.
const maxStart = 20 * time.Second

// Start starts a broker; Serve opens its doors.
func Start(o Options) (*Broker, error) {
	b := &Broker{keys: newKeys(), here: map[string]int{}, ears: map[int]func(string, bool){}, joined: map[string]net.Conn{}, regroups: map[string]bool{}, log: o.Log, authenticate: o.Authenticate, children: o.Children}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	opts, err := o.nats(b.keys)
	if err != nil {
		return nil, err
	}
	if o.Upstream != nil {
		if b.joint, err = o.Upstream.open(); err != nil {
			return nil, err
		}
		opts.LeafNode.Remotes = append(opts.LeafNode.Remotes, b.joint.remote())
		go b.joint.serve(func(err error) { b.log.Warn("upstream broker", "error", err) })
	}
	return b, b.start(o, opts)
}

// start starts NATS, and lets go of everything when that fails.
func (b *Broker) start(o Options, opts *server.Options) (err error) {
	defer func() {
		if err != nil {
			b.letGo()
			err = fmt.Errorf("start broker: %w", err)
		}
	}()
	if b.server, err = server.NewServer(opts); err != nil {
		return err
	}
	if o.Log != nil {
		b.server.SetLoggerV2(logger{o.Log}, false, false, false)
	}
	b.server.Start()
	if !b.server.ReadyForConnections(maxStart) {
		return errors.New("it is not ready after 20 s; is its folder writable, and its port free?")
	}
	b.mqtt, b.leaves = loopback(opts.MQTT.Port), loopback(opts.LeafNode.Port)
	if b.conn, err = b.connect(); err != nil {
		return err
	}
	b.guard = guard.New(guard.Options{Authenticate: o.Authenticate, Open: b.open, TLS: o.TLS, Limits: o.Limits, Log: o.Log, Seen: b.seen})
	b.hints = &retainer{open: b.open}
	return nil
}

// connect opens the server's own connection, which passes no socket.
func (b *Broker) connect() (*nats.Conn, error) {
	id := "server-" + rand.Text()
	return nats.Connect("", nats.InProcessServer(b.server), nats.UserInfo(id, b.keys.issue(id, topic.Server)),
		nats.Name("moult server"), nats.MaxReconnects(-1), nats.NoEcho())
}

// open connects the guard to the door behind it.
func (b *Broker) open(ctx context.Context, id string, r topic.Role) (net.Conn, string, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", b.mqtt)
	if err != nil {
		return nil, "", err
	}
	return c, b.keys.issue(id, r), nil
}

// Serve accepts MQTT clients on l until Close.
func (b *Broker) Serve(l net.Listener) error {
	if !b.keepDoor(l) {
		return broker.ErrClosed
	}
	if err := b.guard.Serve(l); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return broker.ErrClosed
}

// keepDoor remembers a listener until Close, which may have been.
func (b *Broker) keepDoor(l net.Listener) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		l.Close()
		return false
	}
	b.doors = append(b.doors, l)
	return true
}

// Publish implements broker.Broker.
func (b *Broker) Publish(ctx context.Context, t string, payload []byte, retain bool) error {
	if len(payload) > broker.MaxPayload {
		return fmt.Errorf("publish on %s: %d bytes: %w", t, len(payload), broker.ErrTooLarge)
	}
	var err error
	if retain {
		err = b.hints.publish(ctx, t, payload)
	} else {
		err = b.conn.Publish(subject(t), payload)
	}
	if err != nil {
		return fmt.Errorf("publish on %s: %w", t, err)
	}
	return nil
}

// Subscribe implements broker.Broker.
func (b *Broker) Subscribe(filter, group string, f func(string, []byte)) (func(), error) {
	hear := func(m *nats.Msg) { f(name(m.Subject), m.Data) }
	var s *nats.Subscription
	var err error
	if group == "" {
		s, err = b.conn.Subscribe(subject(filter), hear)
	} else {
		s, err = b.conn.QueueSubscribe(subject(filter), group, hear)
	}
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", filter, err)
	}
	if err := b.conn.Flush(); err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", filter, err)
	}
	return func() { _ = s.Unsubscribe() }, nil
}

// Close implements broker.Broker.
func (b *Broker) Close() error {
	b.mu.Lock()
	doors := b.doors
	b.doors, b.closed = nil, true
	b.mu.Unlock()
	for _, l := range doors {
		l.Close()
	}
	b.letGo()
	return nil
}

func (b *Broker) letGo() {
	if b.joint != nil {
		b.joint.l.Close()
	}
	if b.guard != nil {
		b.guard.Close()
		b.hints.close()
	}
	if b.conn != nil {
		b.conn.Close()
	}
	if b.server != nil {
		b.server.Shutdown()
		b.server.WaitForShutdown()
	}
}
