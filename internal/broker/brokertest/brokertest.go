// Package brokertest is what every broker must do, and must refuse.
package brokertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/moult-ota/moult/internal/broker"
	"github.com/moult-ota/moult/internal/wire/topic"
)

// A World is one broker, set up as its documentation says.
type World struct {
	Broker broker.Broker // as the server uses it
	// Client returns the options of a client; its id says what it is: see Role.
	Client func(id string) *mqtt.ClientOptions
	// Nobody is a client that shows nothing.
	Nobody func() *mqtt.ClientOptions
	// Grant is what a client may do; nil: what its role may.
	Grant func(id string) topic.Grant
	// Spy is a connection that sees and may do everything.
	Spy broker.Broker
}

// Role is the role of a test's client: what its id begins with. Others are
// not let in.
func Role(id string) (topic.Role, error) {
	for name, r := range map[string]topic.Role{"enrolling": topic.Enrolling, "device": topic.Device, "gateway": topic.Gateway} {
		if len(id) > len(name) && id[:len(name)] == name {
			return r, nil
		}
	}
	return topic.None, errors.New("a stranger")
}

func (w World) grant(id string) topic.Grant {
	if w.Grant != nil {
		return w.Grant(id)
	}
	r, _ := Role(id)
	return topic.GrantOf(r, id)
}

const patience = 10 * time.Second

// Run runs the whole suite.
func Run(t *testing.T, w World) {
	t.Run("Messages", func(t *testing.T) { messages(t, w) })
	t.Run("Groups", func(t *testing.T) { groups(t, w) })
	t.Run("Retained", func(t *testing.T) { retained(t, w) })
	t.Run("Limits", func(t *testing.T) { limits(t, w) })
	t.Run("Strangers", func(t *testing.T) { strangers(t, w) })
	t.Run("Takeover", func(t *testing.T) { takeover(t, w) })
	t.Run("Matrix", func(t *testing.T) { matrix(t, w) })
}

// messages go both ways.
func messages(t *testing.T, w World) {
	up := newInbox()
	stop, err := w.Broker.Subscribe(topic.Up("+"), "", up.put)
	check(t, err)
	defer stop()
	d := connect(t, w, "device-a")
	down := newInbox()
	subscribe(t, d, topic.Down("device-a"), down)
	publish(t, d, topic.Up("device-a"), "hello")
	up.wait(t, topic.Up("device-a"), "hello")
	check(t, w.Broker.Publish(t.Context(), topic.Down("device-a"), []byte("answer"), false))
	down.wait(t, topic.Down("device-a"), "answer")
	big := bytes.Repeat([]byte("x"), broker.MaxPayload)
	publish(t, d, topic.Up("device-a"), string(big))
	up.wait(t, topic.Up("device-a"), string(big))
	stop()
}

// groups: of two replicas of the server, one gets each message.
func groups(t *testing.T, w World) {
	in := newInbox()
	for range 2 {
		stop, err := w.Broker.Subscribe(topic.Up("+"), "replicas", in.put)
		check(t, err)
		defer stop()
	}
	d := connect(t, w, "device-b")
	for i := range 20 {
		publish(t, d, topic.Up("device-b"), fmt.Sprint(i))
	}
	for i := range 20 {
		in.wait(t, topic.Up("device-b"), fmt.Sprint(i))
	}
	if n := in.count(); n != 20 {
		t.Errorf("%d messages to a group of two, want 20", n)
	}
}

func retained(t *testing.T, w World) {
	name := topic.Release("bench")
	check(t, w.Broker.Publish(t.Context(), name, []byte("7"), true))
	for _, id := range []string{"device-c", "device-d"} {
		later(t, w, id, name, "7")
	}
	in := newInbox()
	stop, err := w.Broker.Subscribe(topic.Alive("+"), "", in.put)
	check(t, err)
	defer stop()
	o := w.Client("gateway-a")
	o.SetBinaryWill(topic.Alive("gateway-a"), []byte("offline"), 0, true)
	g := mqtt.NewClient(o)
	check(t, done(g.Connect()))
	check(t, done(g.Publish(topic.Alive("gateway-a"), 0, true, "online")))
	in.wait(t, topic.Alive("gateway-a"), "online")
}

// later subscribes as a client that comes some time after a message was
// retained: a broker may need a moment to retain it.
func later(t *testing.T, w World, id, name, payload string) {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		in := newInbox()
		c := connect(t, w, id)
		subscribe(t, c, name, in)
		for n := 0; n < 50 && !in.has(name, payload); n++ {
			time.Sleep(10 * time.Millisecond)
		}
		if in.has(name, payload) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%.40q is not retained on %s", payload, name)
		}
		c.Disconnect(0)
	}
}

func limits(t *testing.T, w World) {
	err := w.Broker.Publish(t.Context(), topic.Down("x"), make([]byte, broker.MaxPayload+1), false)
	if !errors.Is(err, broker.ErrTooLarge) {
		t.Errorf("Publish of too much = %v, want %v", err, broker.ErrTooLarge)
	}
}

func strangers(t *testing.T, w World) {
	for name, o := range map[string]*mqtt.ClientOptions{"unknown id": w.Client("stranger"), "no login": w.Nobody()} {
		c := mqtt.NewClient(o)
		if err := done(c.Connect()); err == nil {
			c.Disconnect(0)
			t.Errorf("%s: connected", name)
		}
	}
}

// takeover: nobody gets at the session of another by its client id.
func takeover(t *testing.T, w World) {
	victim := connect(t, w, "device-f")
	in := newInbox()
	subscribe(t, victim, topic.Down("device-f"), in)
	o := w.Client("device-e")
	o.SetClientID("device-f")
	c := mqtt.NewClient(o)
	if done(c.Connect()) == nil { // as device-e, then
		_ = done(c.Subscribe(topic.Down("device-f"), 0, func(mqtt.Client, mqtt.Message) { t.Error("the other's message was heard") }))
		defer c.Disconnect(0)
	}
	check(t, w.Broker.Publish(t.Context(), topic.Down("device-f"), []byte("secret"), false))
	in.wait(t, topic.Down("device-f"), "secret")
	if !victim.IsConnectionOpen() {
		t.Error("the other was thrown out")
	}
}

// An inbox keeps what came.
type inbox struct {
	mu   sync.Mutex
	got  []string
	more chan struct{}
}

func newInbox() *inbox { return &inbox{more: make(chan struct{}, 1)} }

func (i *inbox) put(name string, payload []byte) {
	i.mu.Lock()
	i.got = append(i.got, name+" "+string(payload))
	i.mu.Unlock()
	select {
	case i.more <- struct{}{}:
	default:
	}
}

func (i *inbox) has(name, payload string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, g := range i.got {
		if g == name+" "+payload {
			return true
		}
	}
	return false
}

func (i *inbox) count() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.got)
}

func (i *inbox) wait(t *testing.T, name, payload string) {
	t.Helper()
	end := time.After(patience)
	for !i.has(name, payload) {
		select {
		case <-i.more:
		case <-end:
			t.Fatalf("%.40q did not come on %s", payload, name)
		}
	}
}

// connect connects, and tries again for a while: a broker may hold off a
// client that it believes to be there still.
func connect(t *testing.T, w World, id string) mqtt.Client {
	t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		c := mqtt.NewClient(w.Client(id))
		if err = done(c.Connect()); err == nil {
			t.Cleanup(func() { c.Disconnect(0) })
			return c
		}
	}
	t.Fatalf("connect %s: %v", id, err)
	return nil
}

func subscribe(t *testing.T, c mqtt.Client, filter string, in *inbox) {
	t.Helper()
	if err := done(c.Subscribe(filter, 0, func(_ mqtt.Client, m mqtt.Message) { in.put(m.Topic(), m.Payload()) })); err != nil {
		t.Fatalf("subscribe to %s: %v", filter, err)
	}
}

func publish(t *testing.T, c mqtt.Client, name, payload string) {
	t.Helper()
	if err := done(c.Publish(name, 0, false, payload)); err != nil {
		t.Fatalf("publish on %s: %v", name, err)
	}
}

func done(k mqtt.Token) error {
	if !k.WaitTimeout(patience) {
		return context.DeadlineExceeded
	}
	return k.Error()
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// arrives waits for a message for as long as one can be under way.
func arrives(i *inbox, name, payload string) bool {
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if i.has(name, payload) {
			return true
		}
	}
	return false
}
