package gateway

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/moult-ota/moult/internal/agent"
	"github.com/moult-ota/moult/internal/broker"
	"github.com/moult-ota/moult/internal/broker/embedded"
	"github.com/moult-ota/moult/internal/link"
	"github.com/moult-ota/moult/internal/link/mqttlink"
	"github.com/moult-ota/moult/internal/version"
	"github.com/moult-ota/moult/internal/wire/mqttlogin"
	"github.com/moult-ota/moult/internal/wire/securemsg"
	"github.com/moult-ota/moult/internal/wire/topic"
)

// A leaf is the gateway's own broker for devices on the LAN, joined to the
// server's: what several of them wait for crosses the uplink once. It carries
// sessions and ciphertext, and can read neither.
//
// To join, the gateway is a device of the fleet itself.

// checkLeaf refuses half of what a leaf needs.
func (c *Config) checkLeaf() error {
	all := []string{c.Broker, c.BrokerLeaves, c.BrokerListen}
	said := 0
	for _, s := range all {
		if s != "" {
			said++
		}
	}
	switch {
	case said == 0:
		return nil
	case said < len(all):
		return errors.New("broker, broker_leaves and broker_listen go together")
	}
	for _, address := range []string{c.BrokerLeaves, c.BrokerListen} {
		if _, _, err := net.SplitHostPort(address); err != nil {
			return fmt.Errorf("broker: %w; want address:port", err)
		}
	}
	return nil
}

// carry runs the leaf until ctx ends.
func (g *Gateway) carry(ctx context.Context) error {
	o, config, err := g.member()
	if err != nil {
		return err
	}
	var door *tls.Config
	if g.c.ListenCertificate != "" {
		pair, err := tls.LoadX509KeyPair(g.c.ListenCertificate, g.c.ListenKey)
		if err != nil {
			return fmt.Errorf("serve the LAN by MQTT: %w", err)
		}
		door = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	}
	id, err := g.join(ctx, o)
	if err != nil {
		return err
	}
	b, err := embedded.Start(embedded.Options{
		Dir: filepath.Join(g.c.StateDir, "broker"), TLS: door, Log: g.log,
		// Who a device is, the server finds out: it opens the sessions.
		Authenticate: func(context.Context, broker.Login) (topic.Role, error) { return topic.Device, nil },
		Upstream: &embedded.Upstream{
			Dial: func(ctx context.Context) (net.Conn, error) { return g.reachLeaves(ctx, config) },
			Login: func() (string, string, error) {
				password, err := mqttlogin.Sign(rand.Reader, o.Key, id, time.Now(), loginLife)
				return id, password, err
			},
		},
	})
	if err != nil {
		return err
	}
	defer b.Close()
	l, err := net.Listen("tcp", g.c.BrokerListen)
	if err != nil {
		return fmt.Errorf("serve the LAN by MQTT: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { b.Close() })
	defer stop()
	g.log.Info("serving the LAN by MQTT", "address", l.Addr().String(), "gateway", id)
	if err := b.Serve(l); !errors.Is(err, broker.ErrClosed) {
		return fmt.Errorf("serve the LAN by MQTT: %w", err)
	}
	return nil
}

// loginLife is how long one login of the leaf is good.
const loginLife = 10 * time.Minute

// member is the gateway as a device of the fleet.
func (g *Gateway) member() (o mqttlink.Options, config *tls.Config, err error) {
	if o.Identity, err = g.identity(); err != nil {
		return o, nil, err
	}
	if o.Key, err = agent.DeviceKey(g.ownKey()); err != nil {
		return o, nil, err
	}
	for _, text := range g.c.ServerKeys {
		key, err := securemsg.ParseServerKey(text)
		if err != nil {
			return o, nil, fmt.Errorf("server_keys: %w", err)
		}
		o.ServerKeys = append(o.ServerKeys, key)
	}
	var t *http.Transport
	if t, err = agent.NewTransport(g.c.ServerCertificate, g.c.Pin); err != nil {
		return o, nil, err
	}
	o.Servers, o.Type, o.Token, o.TLS = []string{g.c.Broker}, ownType, g.c.Token, t.TLSClientConfig
	o.Store, o.Agent, o.Log = agent.FileStore(filepath.Join(g.c.StateDir, "session.json")), version.String(), g.log
	return o, t.TLSClientConfig, nil
}

// join waits until the gateway is let in, and returns its name on the wire.
func (g *Gateway) join(ctx context.Context, o mqttlink.Options) (string, error) {
	l, err := mqttlink.New(o)
	if err != nil {
		return "", err
	}
	defer l.Close()
	for n := 1; ; n++ {
		err := l.Authenticate(ctx)
		if err == nil {
			return l.ID(), nil
		}
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		g.log.Warn("the broker for the LAN waits to join the server's", "error", err)
		if err := link.Sleep(ctx, link.Backoff(n, g.c.Retry, g.c.RetryMax)); err != nil {
			return "", err
		}
	}
}

// reachLeaves connects to where the server takes leaves, encrypted as its
// devices' door is.
func (g *Gateway) reachLeaves(ctx context.Context, config *tls.Config) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", g.c.BrokerLeaves)
	if err != nil || !g.c.brokerSecure() {
		return c, err
	}
	host, _, _ := net.SplitHostPort(g.c.BrokerLeaves) // Check has seen it
	config = config.Clone()
	config.ServerName = host
	s := tls.Client(c, config)
	if err := s.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return s, nil
}
