package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/moult-ota/moult/internal/server"
)

// A site is where the world's server stands: the real one, over a data
// directory and a loopback port that stay when it is restarted.
type site struct {
	options server.Options
	log     *slog.Logger
	url     string
	token   string // operator, all rights

	server *server.Server
	lines  *lines
	gone   int64 // bytes over the lines of servers before a restart
	stop   context.CancelFunc
	served chan error
}

// openSite makes the data directory and starts the server.
func openSite(ctx context.Context, dir string, log *slog.Logger) (*site, error) {
	s := &site{options: server.Defaults(), log: log}
	s.options.Data, s.options.Listen, s.options.LogLevel = dir, "127.0.0.1:0", "error"
	s.options.MQTT, s.options.MQTTLeaves, s.options.MQTTRate = "127.0.0.1:0", "127.0.0.1:0", "16MiB"
	var err error
	if s.token, err = server.ResetOperator(ctx, s.options); err != nil {
		return nil, fmt.Errorf("make operator token: %w", err)
	}
	return s, s.start(ctx)
}

func (s *site) start(ctx context.Context) error {
	l, err := net.Listen("tcp", s.options.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	s.options.Listen = l.Addr().String() // the same port ever after
	s.url = "http://" + s.options.Listen
	if s.server, err = server.Open(ctx, s.options, s.log); err != nil {
		l.Close()
		return err
	}
	addrs := s.server.MQTTAddrs()
	s.options.MQTT, s.options.MQTTLeaves = addrs[0].String(), addrs[1].String()
	s.lines = &lines{Listener: l}
	serve, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop, s.served = stop, make(chan error, 1)
	go func() { s.served <- s.server.Serve(serve, s.lines) }()
	return nil
}

// spoil flips a bit of an artifact on the server's disk: what goes out by
// broker cannot be changed on its way, but before it.
func (s *site) spoil(sum string) error {
	f, err := os.OpenFile(filepath.Join(s.options.Data, "blobs", sum[:2], sum[2:]), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	var b [1]byte
	at := fi.Size() / 3
	if _, err := f.ReadAt(b[:], at); err != nil {
		return err
	}
	b[0] ^= 1
	_, err = f.WriteAt(b[:], at)
	return err
}

// close cuts every line in the middle of whatever it carries, and stops.
func (s *site) close() error {
	s.stop()
	s.lines.cut()
	s.gone += s.lines.traffic.n.Load()
	return errors.Join(<-s.served, s.server.Close())
}

// restart stops the server, lines cut, and starts it again.
func (s *site) restart(ctx context.Context) error {
	if err := s.close(); err != nil {
		return fmt.Errorf("stop server: %w", err)
	}
	return s.start(ctx)
}

// lines is a listener that knows its connections.
type lines struct {
	net.Listener
	traffic traffic
	mu      sync.Mutex
	open    []net.Conn
}

func (l *lines) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.mu.Lock()
		l.open = append(l.open, c)
		l.mu.Unlock()
		c = counted{c, &l.traffic}
	}
	return c, err
}

func (l *lines) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.open {
		c.Close()
	}
}
