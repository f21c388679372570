package mqttlink

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/moult-ota/moult/internal/wire/mqttlogin"
	"github.com/moult-ota/moult/internal/wire/mqttpacket"
	"github.com/moult-ota/moult/internal/wire/securemsg"
	"github.com/moult-ota/moult/internal/wire/topic"
)

// Bounds of a line.
const (
	maxServers = 16
	maxPacket  = securemsg.MaxFrame + 1<<10 // whatever a broker announces
	loginLife  = 10 * time.Minute
	dialTime   = 20 * time.Second
	signOfLife = time.Minute
	rareSign   = 15 * time.Minute // on a metered line
)

var (
	errRefused = errors.New("the broker does not let this device in yet")
	errAway    = errors.New("not connected to the broker")
)

// A line is the connection to a broker: one at a time, made anew when it is
// asked for. What comes is given to hear, in order.
type line struct {
	counters
	o       Options
	id      string
	hear    func(topic string, payload []byte)
	gone    func() // told when a connection is lost
	servers []server
	lost    chan struct{} // holds a token after a connection was lost

	mu      sync.Mutex
	current int
	client  mqtt.Client
	member  bool            // as which it is connected
	more    map[string]bool // topics beside those of every device
	closed  bool
}

type server struct {
	address string // host:port
	name    string // in its certificate; empty: plain
}

func newLine(o Options, id string, hear func(string, []byte), gone func()) (*line, error) {
	if len(o.Servers) > maxServers {
		return nil, fmt.Errorf("reach server by MQTT: %d addresses, at most %d", len(o.Servers), maxServers)
	}
	n := &line{o: o, id: id, hear: hear, gone: gone, more: map[string]bool{}, lost: make(chan struct{}, 1)}
	for _, text := range o.Servers {
		s, err := parseServer(text)
		if err != nil {
			return nil, err
		}
		n.servers = append(n.servers, s)
	}
	return n, nil
}

func parseServer(text string) (server, error) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Scheme != "mqtt" && u.Scheme != "mqtts" || u.User != nil || u.Path != "" && u.Path != "/" {
		return server{}, fmt.Errorf("server address %q: want mqtts://host[:port]", text)
	}
	s, port := server{}, u.Port()
	if u.Scheme == "mqtts" {
		s.name = u.Hostname()
	}
	if port == "" {
		port = map[bool]string{true: "8883", false: "1883"}[s.name != ""]
	}
	s.address = net.JoinHostPort(u.Hostname(), port)
	return s, nil
}

// open reports whether the line stands, as a member's.
func (n *line) open() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.member && n.client != nil && n.client.IsConnectionOpen()
}

// connect makes a line: a member's, or one of a device that asks to be let in.
func (n *line) connect(ctx context.Context, member bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return net.ErrClosed
	}
	if n.client != nil && n.client.IsConnectionOpen() && n.member == member {
		return nil
	}
	n.drop()
	var errs []error
	for range n.servers {
		err := n.dial(ctx, n.servers[n.current], member)
		if err == nil || errors.Is(err, errRefused) || ctx.Err() != nil {
			return err
		}
		errs = append(errs, fmt.Errorf("broker %s: %w", n.servers[n.current].address, err))
		n.current = (n.current + 1) % len(n.servers)
	}
	return errors.Join(errs...)
}

func (n *line) drop() {
	if n.client != nil {
		n.client.Disconnect(0)
		n.client = nil
	}
}

func (n *line) dial(ctx context.Context, s server, member bool) error {
	password, err := mqttlogin.Sign(n.o.Random, n.o.Key, n.id, n.o.Now(), loginLife)
	if err != nil {
		return err
	}
	keepAlive := signOfLife
	if n.o.Metered {
		keepAlive = rareSign
	}
	o := mqtt.NewClientOptions().AddBroker("tcp://" + s.address).SetClientID(n.id).SetUsername(n.id).SetPassword(password).
		SetProtocolVersion(4).SetCleanSession(true).SetAutoReconnect(false).SetOrderMatters(true).
		SetKeepAlive(keepAlive).SetConnectTimeout(dialTime).SetWriteTimeout(dialTime).
		SetConnectionLostHandler(func(_ mqtt.Client, err error) { n.broke(err) }).
		SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) { return n.conn(ctx, s) })
	c := mqtt.NewClient(o)
	if err := wait(ctx, c.Connect()); err != nil {
		c.Disconnect(0)
		return err
	}
	n.client, n.member = c, member
	if err := n.subscribe(ctx, n.topics()...); err != nil {
		n.drop()
		return err
	}
	return nil
}

// topics are those that the device listens to.
func (n *line) topics() []string {
	if !n.member {
		return []string{topic.EnrollDown(n.id)}
	}
	all := []string{topic.EnrollDown(n.id), topic.Down(n.id), topic.Got(n.id)}
	if topic.ValidID(n.o.Type) {
		all = append(all, topic.Release(n.o.Type))
	}
	for t := range n.more {
		all = append(all, t)
	}
	return all
}

func (n *line) subscribe(ctx context.Context, topics ...string) error {
	filters := map[string]byte{}
	for _, t := range topics {
		filters[t] = 0
	}
	k := n.client.SubscribeMultiple(filters, func(_ mqtt.Client, m mqtt.Message) { n.hear(m.Topic(), m.Payload()) })
	if err := wait(ctx, k); err != nil {
		return fmt.Errorf("%w: %w", errRefused, err) // some brokers cut who asks for too much
	}
	if s, ok := k.(*mqtt.SubscribeToken); ok {
		for _, code := range s.Result() {
			if code == 0x80 {
				return errRefused
			}
		}
	}
	return nil
}

// listen adds a topic, now and after every reconnect.
func (n *line) listen(ctx context.Context, t string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.more[t] = true
	if n.client == nil || !n.client.IsConnectionOpen() {
		return nil
	}
	return n.subscribe(ctx, t)
}

// ignore takes it away.
func (n *line) ignore(t string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.more, t)
	if n.client != nil && n.client.IsConnectionOpen() {
		n.client.Unsubscribe(t)
	}
}

// publish sends; that it arrives, the answer says.
func (n *line) publish(ctx context.Context, t string, payload []byte) error {
	n.mu.Lock()
	c := n.client
	n.mu.Unlock()
	if c == nil || !c.IsConnectionOpen() {
		return errAway
	}
	return wait(ctx, c.Publish(t, 0, false, payload))
}

// broke notes that the connection is gone.
func (n *line) broke(err error) {
	n.o.Log.Info("connection to the broker is lost", "error", err)
	select {
	case n.lost <- struct{}{}:
	default:
	}
	n.gone()
}

func (n *line) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	n.drop()
}

// conn dials, counts, and bounds what comes: the MQTT library would make room
// for whatever length a broker announces.
func (n *line) conn(ctx context.Context, s server) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	dial := n.o.Dial
	if dial == nil {
		dial = func(ctx context.Context, a string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", a)
		}
	}
	c, err := dial(ctx, s.address)
	if err != nil {
		return nil, err
	}
	c = counted{c, &n.counters}
	if s.name != "" {
		config := &tls.Config{}
		if n.o.TLS != nil {
			config = n.o.TLS.Clone()
		}
		config.ServerName, config.MinVersion = s.name, tls.VersionTLS12
		secure := tls.Client(c, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			c.Close()
			return nil, err
		}
		c = secure
	}
	return bounded{c, mqttpacket.Limit(c, maxPacket)}, nil
}

type counted struct {
	net.Conn
	n *counters
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.n.received.Add(int64(n))
	return n, err
}

func (c counted) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.n.sent.Add(int64(n))
	return n, err
}

type bounded struct {
	net.Conn
	r io.Reader
}

func (b bounded) Read(p []byte) (int, error) { return b.r.Read(p) }

func wait(ctx context.Context, k mqtt.Token) error {
	select {
	case <-k.Done():
		return k.Error()
	case <-ctx.Done():
		return ctx.Err()
	}
}
