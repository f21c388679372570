// Package gateway runs an agent for each child: a microcontroller that cannot
// reach the network itself, and is a device of its own in the fleet. It also
// stands between a server and the devices of a LAN, which are package
// upstream's.
//
// What an update of a child is, package update says, and package install/mcu
// does it. A gateway adds what the child lacks: its key, its record, and the
// way to the server.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/agent"
	"github.com/moult-ota/moult/internal/gateway/upstream"
	"github.com/moult-ota/moult/internal/link"
)

// A Gateway is one run of it.
type Gateway struct {
	c     *Config
	log   *slog.Logger
	keys  []artifact.Verifier
	proxy *upstream.Proxy // nil: no server is known

	mu     sync.Mutex
	agents map[*Child]*agent.Agent // that run; the gateway's own is nil's
	leave  context.CancelFunc      // ends what waits for a child to answer
}

// New reads the keys and opens the cache; it asks neither server nor child.
func New(c *Config, log *slog.Logger) (*Gateway, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.StateDir, 0o700); err != nil {
		return nil, fmt.Errorf("make state folder: %w", err)
	}
	g := &Gateway{c: c, log: log, agents: map[*Child]*agent.Agent{}}
	var err error
	if g.keys, err = agent.Verifiers(c.VerifyKeys); err != nil {
		log.Error("a verify key is not usable", "error", err)
	}
	if len(c.Servers) == 0 {
		return g, nil
	}
	t, err := agent.NewTransport(c.ServerCertificate, c.Pin)
	if err != nil {
		return nil, err
	}
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 64, 32 // a LAN of devices shares them
	g.proxy, err = upstream.New(upstream.Options{
		Servers: c.Servers, Transport: t, Folder: filepath.Join(c.StateDir, "upstream"), CacheBytes: c.CacheBytes, Retry: c.Retry, Log: log,
	})
	return g, err
}

// Run serves children and LAN until ctx ends or Leave was called. What is
// wrong with one child does not keep it from the others.
func (g *Gateway) Run(ctx context.Context) error {
	unlock, err := agent.LockFile(filepath.Join(g.c.StateDir, "lock"), lockTime)(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	if g.proxy != nil {
		all.Go(func() { g.proxy.Run(ctx) })
	}
	failed := make(chan error, 2)
	if g.c.Broker != "" {
		all.Go(func() {
			if err := g.carry(ctx); err != nil && ctx.Err() == nil {
				failed <- err
			}
		})
	}
	if g.c.Listen != "" {
		l, err := net.Listen("tcp", g.c.Listen)
		if err != nil {
			return fmt.Errorf("serve the LAN: %w", err)
		}
		all.Go(func() { failed <- g.serve(ctx, l) })
	}
	var children sync.WaitGroup
	left, leave := context.WithCancel(ctx)
	defer leave()
	g.mu.Lock()
	g.leave = leave
	g.mu.Unlock()
	for _, k := range g.c.Children {
		children.Go(func() { g.keep(ctx, left, k) })
	}
	if g.proxy != nil {
		children.Go(func() { g.keep(ctx, left, nil) })
	}
	done := make(chan struct{})
	go func() { children.Wait(); close(done) }()
	select {
	case err := <-failed:
		return err
	case <-left.Done():
		<-done
		return nil
	}
}

// lockTime is how long another moult-gateway has to end.
const lockTime = 3 * time.Second

// Leave makes Run return as soon as no child is being updated.
func (g *Gateway) Leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.leave != nil {
		g.leave()
	}
	for _, a := range g.agents {
		a.Leave()
	}
}

// Poll asks the server for all children now.
func (g *Gateway) Poll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, a := range g.agents {
		a.Poll()
	}
}

// again is the wait before an agent that stopped is started anew.
const again = 10 * time.Second

// keep runs a child's agent, or with nil the gateway's own, until ctx ends, or
// it was asked to leave.
func (g *Gateway) keep(ctx, left context.Context, k *Child) {
	log := g.log
	if k != nil {
		log = log.With("child", k.ID)
	}
	for ctx.Err() == nil && left.Err() == nil {
		err := g.run(ctx, left, k, log)
		if err == nil {
			return
		}
		if ctx.Err() == nil && left.Err() == nil {
			log.Error("agent stopped", "error", err)
			_ = link.Sleep(left, again)
		}
	}
}

func (g *Gateway) run(ctx, left context.Context, k *Child, log *slog.Logger) error {
	var a *agent.Agent
	var err error
	if k == nil {
		a, err = g.itself(log)
	} else {
		a, err = g.agent(left, k, log, 0)
	}
	if err != nil {
		return err
	}
	g.mu.Lock()
	g.agents[k] = a
	if left.Err() != nil {
		a.Leave()
	}
	g.mu.Unlock()
	err = a.Run(ctx)
	g.mu.Lock()
	delete(g.agents, k)
	g.mu.Unlock()
	return err
}

// Limits of a connection from the LAN.
const (
	headTime = 10 * time.Second
	readTime = time.Minute // for all of a request
	idleTime = 2 * time.Minute
	maxHead  = 64 << 10 // bytes
)

// serve answers the devices of the LAN until ctx ends.
func (g *Gateway) serve(ctx context.Context, l net.Listener) error {
	s := &http.Server{Handler: g.proxy, ReadHeaderTimeout: headTime, ReadTimeout: readTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHead}
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	g.log.Info("serving the LAN", "address", l.Addr().String())
	var err error
	if g.c.ListenCertificate != "" {
		err = s.ServeTLS(l, g.c.ListenCertificate, g.c.ListenKey)
	} else {
		err = s.Serve(l)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve the LAN: %w", err)
}
