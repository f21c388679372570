// Package mqttdevice is a device behind a broker, as simple as one can be: it
// is the Device of frontendtest for the secure distribution over MQTT.
package mqttdevice

import (
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/frontend/frontendtest"
	"github.com/moult-ota/moult/internal/inventory"
	"github.com/moult-ota/moult/internal/session"
	"github.com/moult-ota/moult/internal/wire/mqttlogin"
	"github.com/moult-ota/moult/internal/wire/securemsg"
	"github.com/moult-ota/moult/internal/wire/topic"
)

// patience is how long a Device waits for any answer.
const patience = 10 * time.Second

// A Device implements frontendtest.Device.
type Device struct {
	t        *testing.T
	addr     string
	now      func() time.Time
	identity device.Identity
	key      ed25519.PrivateKey
	spki     []byte
	static   *ecdh.PrivateKey
	id       securemsg.DeviceID

	client  mqtt.Client
	in      chan message
	session *session.Session
	server  *securemsg.ServerKey
	number  uint64
	boots   uint64

	// Carousel and Alone count bytes of pieces that came for all, and for this
	// device alone; nil counts none.
	Carousel, Alone *atomic.Int64

	mu       sync.Mutex
	told     map[deployment.ID]securemsg.Assignment
	canceled map[deployment.ID]bool
}

// A message is what came on a topic.
type message struct {
	topic   string
	payload []byte
}

var _ frontendtest.Device = (*Device)(nil)

// New returns a device with new keys.
func New(t *testing.T, addr string, identity device.Identity, now func() time.Time) *Device {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	static, err := session.NewKey(securemsg.X25519, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	d := &Device{t: t, addr: addr, now: now, identity: identity, key: key, spki: spki, static: static, id: securemsg.NewDeviceID(spki),
		in: make(chan message, 1024), told: map[deployment.ID]securemsg.Assignment{}, canceled: map[deployment.ID]bool{}}
	t.Cleanup(d.disconnect)
	return d
}

// ID is the device's name on the wire.
func (d *Device) ID() string { return d.id.String() }

func (d *Device) disconnect() {
	if d.client != nil {
		d.client.Disconnect(0)
		d.client = nil
	}
}

// connect logs in anew: what a device may do changes with its standing.
func (d *Device) connect(topics ...string) error {
	d.disconnect()
	password, err := mqttlogin.Sign(rand.Reader, d.key, d.ID(), d.now(), time.Minute)
	if err != nil {
		return err
	}
	o := mqtt.NewClientOptions().AddBroker("tcp://" + d.addr).SetClientID(d.ID()).SetUsername(d.ID()).SetPassword(password).
		SetProtocolVersion(4).SetAutoReconnect(false).SetConnectTimeout(patience).SetOrderMatters(true)
	for range 50 { // a broker may still hold the connection before
		d.client = mqtt.NewClient(o)
		if err = done(d.client.Connect()); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		return err
	}
	for _, t := range topics {
		if err := done(d.client.Subscribe(t, 0, d.hear)); err != nil {
			return err
		}
	}
	return nil
}

// hear keeps what comes, unless the device is behind: then it is lost.
func (d *Device) hear(_ mqtt.Client, m mqtt.Message) {
	select {
	case d.in <- message{m.Topic(), m.Payload()}:
	default:
	}
}

func done(k mqtt.Token) error {
	if !k.WaitTimeout(patience) {
		return context.DeadlineExceeded
	}
	return k.Error()
}

// wait returns the first message that take takes, or an error in the end.
func (d *Device) wait(ctx context.Context, long time.Duration, take func(message) bool) error {
	ctx, cancel := context.WithTimeout(ctx, long)
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for answer: %w", ctx.Err())
		case m := <-d.in:
			if take(m) {
				return nil
			}
		}
	}
}

// Enroll implements frontendtest.Device.
func (d *Device) Enroll(ctx context.Context) error {
	answer, err := d.ask(ctx)
	if err != nil {
		return err
	}
	if answer.Standing != securemsg.StandingAccepted {
		return fmt.Errorf("standing %d: %w", answer.Standing, fleet.ErrUnauthorized)
	}
	if err := d.connect(topic.Down(d.ID()), topic.Got(d.ID())); err != nil {
		return err
	}
	if d.session != nil && !d.session.RekeyWanted(d.now()) {
		return nil
	}
	return d.shake(ctx, answer.Keys[0])
}

// ask sends an enrolment request and waits for its answer.
func (d *Device) ask(ctx context.Context) (answer securemsg.Answer, err error) {
	if err := d.connect(topic.EnrollDown(d.ID())); err != nil {
		return answer, err
	}
	r := securemsg.Request{Key: d.spki, Counter: 1, Suite: securemsg.X25519, Session: d.static.PublicKey().Bytes(), Identity: d.identity, Type: "board-1"}
	rand.Read(r.Nonce[:])
	body, err := securemsg.SignRequest(nil, r, d.key)
	if err != nil {
		return answer, err
	}
	frame, err := securemsg.AppendFrame(nil, securemsg.Frame{Type: securemsg.Enrol, Body: body})
	if err != nil {
		return answer, err
	}
	for range 10 { // a message may be lost, before the server subscribed for example
		if err := done(d.client.Publish(topic.EnrollUp(d.ID()), 0, false, frame)); err != nil {
			return answer, err
		}
		err = d.wait(ctx, patience/10, func(m message) bool {
			f, err := securemsg.ParseFrame(m.payload)
			if err != nil || f.Type != securemsg.Enrol {
				return false
			}
			answer, err = securemsg.ParseAnswer(f.Body)
			return err == nil && answer.Nonce == r.Nonce
		})
		if err == nil {
			break
		}
	}
	return answer, err
}

// shake makes a session.
func (d *Device) shake(ctx context.Context, server securemsg.ServerKey) error {
	d.boots++
	hello := securemsg.Hello{Boot: d.boots, Agent: "test"}
	i, err := session.NewInitiator(session.Device{ID: d.id, Suite: securemsg.X25519, Key: d.static}, server, hello, rand.Reader)
	if err != nil {
		return err
	}
	for range 10 { // a message may be lost
		if err := done(d.client.Publish(topic.Up(d.ID()), 0, false, i.Frame())); err != nil {
			return err
		}
		err = d.wait(ctx, patience/10, func(m message) bool {
			s, _, err := i.Handshake(m.payload, d.now())
			if err == nil {
				d.session, d.server = s, &server
			}
			return err == nil
		})
		if err == nil {
			break
		}
	}
	return err
}

// say sends a message and waits for what answers it.
func (d *Device) say(ctx context.Context, m securemsg.Message, answers func(securemsg.Message) bool) error {
	if d.session == nil {
		return fleet.ErrUnauthorized
	}
	text, err := m.Append(nil)
	if err != nil {
		return err
	}
	frame, err := d.session.Seal(nil, text, d.now())
	if errors.Is(err, session.ErrOver) {
		return fmt.Errorf("%w: %w", fleet.ErrUnauthorized, err)
	}
	if err != nil {
		return err
	}
	if err := done(d.client.Publish(topic.Up(d.ID()), 0, false, frame)); err != nil {
		return err
	}
	return d.wait(ctx, patience, func(m message) bool {
		down, ok := d.open(m)
		return ok && answers(down)
	})
}

// open reads a message of the session, and notes what it says by the way.
func (d *Device) open(m message) (securemsg.Message, bool) {
	text, err := d.session.Open(m.payload, d.now())
	if err != nil {
		return nil, false
	}
	down, err := securemsg.ParseDown(text)
	if err != nil {
		d.t.Errorf("message of the server: %v", err)
		return nil, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch down := down.(type) {
	case securemsg.Assignment:
		d.told[down.Deployment] = down
	case securemsg.Cancel:
		d.canceled[down.Deployment] = true
	}
	return down, true
}

// acked says a message that is answered by an Ack, and returns its result.
func (d *Device) acked(ctx context.Context, m securemsg.Message, of securemsg.Kind, n uint64) error {
	var result securemsg.Result
	err := d.say(ctx, m, func(down securemsg.Message) bool {
		a, ok := down.(securemsg.Ack)
		result = a.Result
		return ok && a.Of == of && a.Number == n
	})
	if err != nil {
		return err
	}
	return result.Err()
}

func (d *Device) next() uint64 {
	d.number++
	return d.number
}

// CheckIn implements frontendtest.Device.
func (d *Device) CheckIn(ctx context.Context, r fleet.Report) (frontendtest.Offer, error) {
	n := d.next()
	var offer frontendtest.Offer
	var result securemsg.Result
	err := d.say(ctx, securemsg.CheckIn{Number: n, Type: r.Type, Provides: r.Provides}, func(down securemsg.Message) bool {
		switch down := down.(type) {
		case securemsg.Assignment: // asked for, or made meanwhile
			offer = frontendtest.Offer{Assignment: down.Fleet(), Ref: string(down.Deployment)}
			return true
		case securemsg.Ack:
			result = down.Result
			return down.Of == securemsg.KindCheckIn && down.Number == n && down.Result != securemsg.ResultBusy
		}
		return false
	})
	if err != nil || offer.Ref != "" {
		return offer, err
	}
	return offer, result.Err()
}

// Progress implements frontendtest.Device.
func (d *Device) Progress(ctx context.Context, p fleet.Progress) error {
	n := d.next()
	err := d.acked(ctx, securemsg.NewProgress(n, p), securemsg.KindProgress, n)
	if errors.Is(err, fleet.ErrCanceled) {
		d.mu.Lock()
		d.canceled[p.Deployment] = true
		d.mu.Unlock()
	}
	return err
}

// Describe implements frontendtest.Device.
func (d *Device) Describe(ctx context.Context, a inventory.Attributes, replace bool) error {
	n := d.next()
	return d.acked(ctx, securemsg.Describe{Number: n, Attributes: a, Replace: replace}, securemsg.KindDescribe, n)
}

// Log implements frontendtest.Device.
func (d *Device) Log(ctx context.Context, id deployment.ID, line string) error {
	n := d.next()
	m := securemsg.Log{Number: n, Deployment: id, Total: uint32(len(line)), Piece: []byte(line)}
	return d.acked(ctx, m, securemsg.KindLog, n)
}

// Await waits for a message of the session that the device did not ask for.
func (d *Device) Await(ctx context.Context, want func(securemsg.Message) bool) error {
	return d.wait(ctx, patience, func(m message) bool {
		down, ok := d.open(m)
		return ok && want(down)
	})
}

// Hinted waits until the server asks for a handshake.
func (d *Device) Hinted(ctx context.Context) error {
	return d.wait(ctx, patience, func(m message) bool {
		f, err := securemsg.ParseFrame(m.payload)
		return err == nil && f.Type == securemsg.Hint
	})
}

// Rejoin logs in again after the broker went away, and with key shakes hands
// anew.
func (d *Device) Rejoin(ctx context.Context, key *securemsg.ServerKey) error {
	if err := d.connect(topic.Down(d.ID()), topic.Got(d.ID())); err != nil || key == nil {
		return err
	}
	return d.shake(ctx, *key)
}

// Mutter says a message and does not wait for an answer.
func (d *Device) Mutter(m securemsg.Message) error {
	text, err := m.Append(nil)
	if err != nil {
		return err
	}
	frame, err := d.session.Seal(nil, text, d.now())
	if err != nil {
		return err
	}
	return done(d.client.Publish(topic.Up(d.ID()), 0, false, frame))
}

// ServerKey is the key with which the device shook hands last.
func (d *Device) ServerKey() *securemsg.ServerKey { return d.server }

// Listen subscribes to more, and calls f for what comes.
func (d *Device) Listen(filter string, f func(topic string, payload []byte)) error {
	return done(d.client.Subscribe(filter, 0, func(_ mqtt.Client, m mqtt.Message) { f(m.Topic(), m.Payload()) }))
}

// Publish says something as this device, true or not.
func (d *Device) Publish(name string, payload []byte) error {
	return done(d.client.Publish(name, 0, false, payload))
}
