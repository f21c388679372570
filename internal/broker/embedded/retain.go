package embedded

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/moult-ota/moult/internal/wire/topic"
)

// A retainer publishes what is to be retained, which in NATS only an MQTT
// client can. It connects when it is first needed, and again after an error.
type retainer struct {
	open   func(ctx context.Context, id string, r topic.Role) (net.Conn, string, error)
	mu     sync.Mutex
	client mqtt.Client
}

const maxRetain = 10 * time.Second

func (r *retainer) publish(ctx context.Context, t string, payload []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, err := r.connected(ctx)
	if err != nil {
		return err
	}
	// QoS 1: NATS answers when it has stored the message.
	if err = wait(c.Publish(t, 1, true, payload)); err != nil {
		c.Disconnect(0)
		r.client = nil
	}
	return err
}

func (r *retainer) connected(ctx context.Context) (mqtt.Client, error) {
	if r.client != nil && r.client.IsConnectionOpen() {
		return r.client, nil
	}
	id := "server-" + rand.Text()
	behind, password, err := r.open(ctx, id, topic.Server)
	if err != nil {
		return nil, err
	}
	o := mqtt.NewClientOptions().AddBroker("tcp://loopback").SetClientID(id).SetUsername(id).SetPassword(password).
		SetProtocolVersion(4).SetCleanSession(true).SetAutoReconnect(false).SetConnectRetry(false).SetConnectTimeout(maxRetain).
		SetCustomOpenConnectionFn(once(behind))
	c := mqtt.NewClient(o)
	if err := wait(c.Connect()); err != nil {
		behind.Close()
		return nil, fmt.Errorf("connect: %w", err)
	}
	r.client = c
	return c, nil
}

func (r *retainer) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client != nil {
		r.client.Disconnect(0)
		r.client = nil
	}
}

func wait(t mqtt.Token) error {
	if !t.WaitTimeout(maxRetain) {
		return errors.New("no answer from the broker")
	}
	return t.Error()
}
