// Package mqtt is the server's connection to any MQTT 3.1.1 broker, by its
// address. The broker is set up by whoever runs it; Mosquitto prints how.
package mqtt

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/moult-ota/moult/internal/broker"
	"github.com/moult-ota/moult/internal/wire/mqttpacket"
)

// Options say which broker; URL and ClientID are needed.
type Options struct {
	URL      string // mqtt://host:port or mqtts://host:port
	ClientID string
	Username string
	Password string
	TLS      *tls.Config  // for mqtts; nil: the system's roots
	Log      *slog.Logger // nil: none
}

// A Broker is a broker.Broker. It connects again when the connection is lost,
// and subscribes again; what is published meanwhile fails.
type Broker struct {
	client mqtt.Client
	log    *slog.Logger
	mu     sync.Mutex
	subs   map[int]subscription
	next   int
}

type subscription struct {
	filter string // with its group
	f      func(string, []byte)
}

// timeout is what a broker may take to answer.
const timeout = 10 * time.Second

// Dial connects to the broker.
func Dial(ctx context.Context, o Options) (*Broker, error) {
	address, secure, err := split(o.URL)
	if err != nil {
		return nil, err
	}
	b := &Broker{subs: map[int]subscription{}, log: o.Log}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	opts := mqtt.NewClientOptions().AddBroker("tcp://" + address).SetClientID(o.ClientID).SetUsername(o.Username).SetPassword(o.Password).
		SetProtocolVersion(4).SetCleanSession(true).SetKeepAlive(30 * time.Second).SetConnectTimeout(timeout).SetWriteTimeout(timeout).
		SetMaxReconnectInterval(30 * time.Second).SetOnConnectHandler(b.again).
		SetConnectionLostHandler(func(_ mqtt.Client, err error) { b.log.Warn("connection to the broker is lost", "error", err) }).
		SetCustomOpenConnectionFn(opener(address, secure, o.TLS))
	b.client = mqtt.NewClient(opts)
	if err := b.wait(ctx, b.client.Connect()); err != nil {
		b.client.Disconnect(0)
		return nil, fmt.Errorf("connect to broker %s: %w", o.URL, err)
	}
	return b, nil
}

func split(text string) (address string, secure bool, err error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "mqtt" && u.Scheme != "mqtts" {
		return "", false, fmt.Errorf("broker address %q: want mqtt://host:port or mqtts://host:port", text)
	}
	secure = u.Scheme == "mqtts"
	port := u.Port()
	if port == "" {
		port = map[bool]string{false: "1883", true: "8883"}[secure]
	}
	return net.JoinHostPort(u.Hostname(), port), secure, nil
}

// opener dials, and bounds what the broker may send at once: the client would
// make room for whatever length it announces.
func opener(address string, secure bool, config *tls.Config) mqtt.OpenConnectionFunc {
	return func(*url.URL, mqtt.ClientOptions) (net.Conn, error) {
		d := &net.Dialer{Timeout: timeout}
		var c net.Conn
		var err error
		if secure {
			c, err = tls.DialWithDialer(d, "tcp", address, config)
		} else {
			c, err = d.Dial("tcp", address)
		}
		if err != nil {
			return nil, err
		}
		return bounded{c, mqttpacket.Limit(c, broker.MaxPacket)}, nil
	}
}

type bounded struct {
	net.Conn
	r io.Reader
}

func (b bounded) Read(p []byte) (int, error) { return b.r.Read(p) }

// Publish implements broker.Broker.
func (b *Broker) Publish(ctx context.Context, t string, payload []byte, retain bool) error {
	if len(payload) > broker.MaxPayload {
		return fmt.Errorf("publish on %s: %d bytes: %w", t, len(payload), broker.ErrTooLarge)
	}
	if !b.client.IsConnectionOpen() {
		return fmt.Errorf("publish on %s: not connected to the broker", t)
	}
	if err := b.wait(ctx, b.client.Publish(t, 0, retain, payload)); err != nil {
		return fmt.Errorf("publish on %s: %w", t, err)
	}
	return nil
}

// Subscribe implements broker.Broker. Groups are the $share of MQTT 5, which
// brokers such as Mosquitto know in MQTT 3.1.1, too.
func (b *Broker) Subscribe(filter, group string, f func(string, []byte)) (func(), error) {
	s := subscription{filter, f}
	if group != "" {
		s.filter = "$share/" + group + "/" + filter
	}
	b.mu.Lock()
	n := b.next
	b.next++
	b.subs[n] = s
	b.mu.Unlock()
	if err := b.subscribe(s); err != nil {
		b.forget(n)
		return nil, fmt.Errorf("subscribe to %s: %w", filter, err)
	}
	return func() { b.forget(n) }, nil
}

func (b *Broker) subscribe(s subscription) error {
	k := b.client.Subscribe(s.filter, 0, func(_ mqtt.Client, m mqtt.Message) { b.hear(s.filter, m) })
	if err := b.wait(context.Background(), k); err != nil {
		return err
	}
	if r, ok := k.(*mqtt.SubscribeToken); ok && r.Result()[s.filter] == 0x80 {
		return errors.New("the broker refuses; see its access rules")
	}
	return nil
}

// hear hands a message out. To the broker all subscriptions of one filter are
// one; of a group, one gets it.
func (b *Broker) hear(filter string, m mqtt.Message) {
	b.mu.Lock()
	var all []func(string, []byte)
	for _, s := range b.subs {
		if s.filter == filter && (len(all) == 0 || !strings.HasPrefix(filter, "$share/")) {
			all = append(all, s.f)
		}
	}
	b.mu.Unlock()
	for _, f := range all {
		f(m.Topic(), m.Payload())
	}
}

// forget ends a subscription; the broker hears of it when no other has its
// filter.
func (b *Broker) forget(n int) {
	b.mu.Lock()
	s, ok := b.subs[n]
	delete(b.subs, n)
	for _, other := range b.subs {
		ok = ok && other.filter != s.filter
	}
	b.mu.Unlock()
	if ok {
		_ = b.wait(context.Background(), b.client.Unsubscribe(s.filter))
	}
}

// again subscribes again after the connection was lost.
func (b *Broker) again(mqtt.Client) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.subs {
		go func() {
			if err := b.subscribe(s); err != nil {
				b.log.Error("subscribe again", "filter", strings.TrimPrefix(s.filter, "$share/"), "error", err)
			}
		}()
	}
}

func (b *Broker) wait(ctx context.Context, k mqtt.Token) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	select {
	case <-k.Done():
		return k.Error()
	case <-ctx.Done():
		return fmt.Errorf("no answer from the broker: %w", ctx.Err())
	}
}

// Close implements broker.Broker.
func (b *Broker) Close() error {
	b.client.Disconnect(100)
	return nil
}
