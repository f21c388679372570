// Package guard stands in front of an MQTT 3.1.1 broker. It ends TLS, and lets
// through only packets that are small, whole and of the few kinds that the
// secure distribution needs, so that no parser of somebody else sees a byte
// from a stranger. Who a client is, it asks; what a client may do is for the
// broker behind it.
//
// It passes QoS 0 only, clean sessions only, and retains nothing but what
// gateways say of themselves: a broker that keeps state for clients can be
// made to keep too much of it.
package guard

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/moult-ota/moult/internal/broker"
	"github.com/moult-ota/moult/internal/wire/topic"
)

// Options say whom a Guard lets in; the first two are needed.
type Options struct {
	Authenticate broker.Authenticate
	// Open connects to the broker behind, for one client, and returns the
	// password that it will take from this client, once.
	Open   func(ctx context.Context, id string, r topic.Role) (conn net.Conn, password string, err error)
	TLS    *tls.Config // nil: the listener is private, or encrypts already
	Limits Limits
	Log    *slog.Logger               // nil: none
	Seen   func(id string, here bool) // told who comes and goes; may be nil
}

// A Guard serves listeners.
type Guard struct {
	o      Options
	door   *door
	served sync.WaitGroup
	mu     sync.Mutex
	conns  map[net.Conn]bool
	closed bool
}

// New returns a Guard that serves nothing yet.
func New(o Options) *Guard {
	o.Limits = o.Limits.orDefaults()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Seen == nil {
		o.Seen = func(string, bool) {}
	}
	return &Guard{o: o, door: newDoor(o.Limits), conns: map[net.Conn]bool{}}
}

// Serve accepts clients until l is closed, and returns why it ended.
func (g *Guard) Serve(l net.Listener) error {
	for wait := time.Duration(0); ; {
		c, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil: // no descriptors left, for example
			wait = min(max(2*wait, 5*time.Millisecond), time.Second)
			g.o.Log.Warn("accept", "error", err)
			time.Sleep(wait)
			continue
		}
		wait = 0
		leave, err := g.door.enter(c.RemoteAddr(), time.Now())
		if err != nil || !g.keep(c) {
			c.Close()
			continue
		}
		go func() {
			defer g.served.Done()
			defer leave()
			defer g.drop(c)
			if err := g.serve(c); err != nil {
				g.o.Log.Info("client refused", "address", c.RemoteAddr(), "error", err)
			}
		}()
	}
}

// Close ends all that Serve began, and waits for it. Listeners are closed by
// who opened them, before.
func (g *Guard) Close() {
	g.mu.Lock()
	g.closed = true
	for c := range g.conns {
		c.Close()
	}
	g.mu.Unlock()
	g.served.Wait()
}

func (g *Guard) keep(c net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.conns[c] = true
	g.served.Add(1)
	return true
}

func (g *Guard) drop(c net.Conn) {
	g.mu.Lock()
	delete(g.conns, c)
	g.mu.Unlock()
	c.Close()
}

// serve is the life of one connection.
func (g *Guard) serve(c net.Conn) error {
	if err := c.SetDeadline(time.Now().Add(g.o.Limits.Connect)); err != nil {
		return err
	}
	if g.o.TLS != nil {
		t := tls.Server(c, g.o.TLS)
		if err := t.Handshake(); err != nil {
			return fmt.Errorf("shake hands: %w", err)
		}
		c = t
	}
	s := &client{Conn: c, limits: g.o.Limits, in: newReader(c)}
	con, err := s.connect()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), g.o.Limits.Connect)
	defer cancel()
	behind, err := g.admit(ctx, s, con)
	if err != nil {
		return err
	}
	defer behind.Close()
	g.o.Seen(con.ClientID, true)
	defer g.o.Seen(con.ClientID, false)
	return s.pass(behind, con.alive())
}

// admit asks who the client is, and opens the broker for it.
func (g *Guard) admit(ctx context.Context, s *client, con connect) (net.Conn, error) {
	if con.ClientID != con.Username || !topic.ValidID(con.ClientID) {
		return nil, s.refuse(refusedID, fmt.Errorf("client id %.70q with user name %.70q", con.ClientID, con.Username))
	}
	role, err := g.o.Authenticate(ctx, broker.Login{ClientID: con.ClientID, Username: con.Username, Password: con.Password, Address: s.RemoteAddr()})
	if err != nil {
		return nil, s.refuse(refusedLogin, fmt.Errorf("authenticate %s: %w", con.ClientID, err))
	}
	if con.WillTopic != "" && !topic.GrantOf(role, con.ClientID).MayPublish(con.WillTopic) {
		return nil, s.refuse(refusedLogin, fmt.Errorf("%s may not leave a will on %.200q", con.ClientID, con.WillTopic))
	}
	behind, password, err := g.o.Open(ctx, con.ClientID, role)
	if err != nil {
		return nil, s.refuse(refusedServer, fmt.Errorf("open broker: %w", err))
	}
	con.Password = password
	if _, err := behind.Write(appendConnect(nil, con)); err != nil {
		behind.Close()
		return nil, fmt.Errorf("open broker: %w", err)
	}
	return behind, nil
}
