package embedded

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/moult-ota/moult/internal/broker/guard"
	"github.com/moult-ota/moult/internal/wire/topic"
)

// A wire counts what crosses the link between two brokers.
type wire struct {
	net.Conn
	down *atomic.Int64
}

func (w wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	w.down.Add(int64(n))
	return n, err
}

// join starts a leaf of b that serves the children, and returns the address
// of its MQTT door. login is what it greets with.
func join(t *testing.T, b *Broker, login string, down *atomic.Int64) string {
	t.Helper()
	in, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = b.ServeLeaves(in) }()
	leaf, err := Start(Options{
		Dir: t.TempDir(), Authenticate: authenticate, Limits: guard.Limits{PerSecond: 10_000},
		Upstream: &Upstream{
			Dial: func(ctx context.Context) (net.Conn, error) {
				c, err := new(net.Dialer).DialContext(ctx, "tcp", in.Addr().String())
				return wire{c, down}, err
			},
			Login: func() (string, string, error) { return login, "secret of " + login, nil },
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { leaf.Close() })
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = leaf.Serve(door) }()
	return door.Addr().String()
}

// hub starts a broker that knows which children the gateways have.
func hub(t *testing.T, children map[string][]string) *Broker {
	t.Helper()
	b, err := Start(Options{Dir: t.TempDir(), Authenticate: authenticate, Children: func(_ context.Context, g string) ([]string, error) {
		return children[g], nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func client(t *testing.T, addr, id string) mqtt.Client {
	t.Helper()
	c := mqtt.NewClient(options(addr, id))
	if k := c.Connect(); !k.WaitTimeout(10*time.Second) || k.Error() != nil {
		t.Fatalf("connect %s: %v", id, k.Error())
	}
	t.Cleanup(func() { c.Disconnect(0) })
	return c
}

// arrives publishes until f was called, for a while: a leaf takes its time to
// join, and to tell what is subscribed to behind it.
func arrives(heard <-chan struct{}, publish func()) bool {
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); {
		publish()
		select {
		case <-heard:
			return true
		case <-time.After(50 * time.Millisecond):
		}
	}
	return false
}

// TestLeaf: children behind a gateway's broker speak with the server, and
// nobody else behind it does.
func TestLeaf(t *testing.T) {
	b := hub(t, map[string][]string{"gateway-a": {"device-1"}})
	addr := join(t, b, "gateway-a", new(atomic.Int64))
	heard := make(chan struct{}, 100)
	var strange atomic.Int64
	if _, err := b.Subscribe(topic.Up("+"), "", func(name string, _ []byte) {
		if name != topic.Up("device-1") {
			strange.Add(1)
			return
		}
		heard <- struct{}{}
	}); err != nil {
		t.Fatal(err)
	}
	one, two := client(t, addr, "device-1"), client(t, addr, "device-2")
	if !arrives(heard, func() {
		two.Publish(topic.Up("device-2"), 0, false, "hello").Wait()
		one.Publish(topic.Up("device-1"), 0, false, "hello").Wait()
	}) {
		t.Fatal("device-1 is not heard")
	}
	got := make(chan struct{}, 100)
	for _, c := range []struct {
		mqtt.Client
		id string
	}{{one, "device-1"}, {two, "device-2"}} {
		c.Subscribe(topic.Down(c.id), 0, func(_ mqtt.Client, m mqtt.Message) {
			if m.Topic() == topic.Down("device-1") {
				got <- struct{}{}
				return
			}
			strange.Add(1)
		}).Wait()
	}
	if !arrives(got, func() {
		_ = b.Publish(t.Context(), topic.Down("device-2"), []byte("for another's"), false)
		_ = b.Publish(t.Context(), topic.Down("device-1"), []byte("answer"), false)
	}) {
		t.Error("device-1 is not answered")
	}
	if strange.Load() != 0 {
		t.Errorf("%d messages of a device that is not behind this gateway", strange.Load())
	}
}

// TestLeafRefused: only a gateway with its password joins.
func TestLeafRefused(t *testing.T) {
	b := hub(t, nil)
	in, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = b.ServeLeaves(in) }()
	for name, greeting := range map[string]string{
		"a device": "device-1 secret of device-1\n", "wrong password": "gateway-a x\n", "unknown": "stranger secret of stranger\n", "no greeting": "CONNECT {}\r\n",
		"id with a wildcard": "gateway* secret of gateway*\n", "endless": string(bytes.Repeat([]byte("x"), 2*maxLine)), "empty": "\n",
	} {
		c, err := net.Dial("tcp", in.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte(greeting))
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		if got, err := io.ReadAll(c); len(got) > 0 || err != nil && isTimeout(err) {
			t.Errorf("%s: answered %q, %v", name, got, err)
		}
		c.Close()
	}
}

func isTimeout(err error) bool {
	n, ok := err.(net.Error)
	return ok && n.Timeout()
}

// TestCarouselCrossesOnce: what fifty devices behind a leaf wait for crosses
// the link to it once.
func TestCarouselCrossesOnce(t *testing.T) {
	const (
		devices = 50
		size    = 8 << 20
		piece   = 16 + 4096 + 16 // answer header, chunk, tag
		oid     = "00112233445566778899aabbccddeeff"
	)
	var children []string
	for i := range devices {
		children = append(children, fmt.Sprint("device-", i))
	}
	b := hub(t, map[string][]string{"gateway-a": children})
	var down atomic.Int64
	addr := join(t, b, "gateway-a", &down)
	var came atomic.Int64
	ready := make([]chan struct{}, devices)
	for i, id := range children {
		ready[i] = make(chan struct{}, 1000)
		client(t, addr, id).Subscribe(topic.Carousel(oid), 0, func(_ mqtt.Client, m mqtt.Message) {
			if len(m.Payload()) == piece {
				came.Add(1)
			} else {
				ready[i] <- struct{}{}
			}
		}).Wait()
	}
	for i := range ready {
		if !arrives(ready[i], func() { _ = b.Publish(t.Context(), topic.Carousel(oid), []byte("ready?"), false) }) {
			t.Fatalf("device %d hears nothing", i)
		}
	}
	before, n := down.Load(), int64(size/4096)
	p := make([]byte, piece)
	for i := range n {
		if err := b.Publish(t.Context(), topic.Carousel(oid), p, false); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(20 * time.Second); came.Load() < (i-100)*devices && time.Now().Before(end); { // a rate limit
			time.Sleep(time.Millisecond)
		}
	}
	for end := time.Now().Add(20 * time.Second); came.Load() < n*devices && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
	}
	ratio := float64(down.Load()-before) / size
	if came.Load() != n*devices || ratio > 1.1 || ratio < 1 {
		t.Errorf("%d of %d chunks came, the link carried %.3f of the artifact; want all and at most 1.1", came.Load(), n*devices, ratio)
	}
	t.Logf("%d devices took %d bytes each; the link carried %.3f of that once", devices, size, ratio)
}
