package embedded

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/moult-ota/moult/internal/broker"
	"github.com/moult-ota/moult/internal/broker/brokertest"
	"github.com/moult-ota/moult/internal/broker/guard"
	"github.com/moult-ota/moult/internal/wire/topic"
)

// start starts a broker with one door, and returns the door's address.
func start(t *testing.T) (*Broker, string) {
	t.Helper()
	b, err := Start(Options{Dir: t.TempDir(), Authenticate: authenticate, Limits: guard.Limits{PerSecond: 10_000}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = b.Serve(l) }()
	t.Cleanup(func() { b.Close() })
	return b, l.Addr().String()
}

func authenticate(_ context.Context, l broker.Login) (topic.Role, error) {
	if l.Password != "secret of "+l.Username {
		return topic.None, errors.New("wrong password")
	}
	return brokertest.Role(l.Username)
}

func options(addr, id string) *mqtt.ClientOptions {
	return mqtt.NewClientOptions().AddBroker("tcp://" + addr).SetClientID(id).SetUsername(id).SetPassword("secret of " + id).
		SetProtocolVersion(4).SetAutoReconnect(false).SetConnectTimeout(10 * time.Second)
}

func TestBroker(t *testing.T) {
	b, addr := start(t)
	brokertest.Run(t, brokertest.World{
		Broker: b, Spy: b,
		Client: func(id string) *mqtt.ClientOptions { return options(addr, id) },
		Nobody: func() *mqtt.ClientOptions { return options(addr, "device-e").SetUsername("").SetPassword("") },
	})
}

// TestPresence: who comes is heard of once, and who goes.
func TestPresence(t *testing.T) {
	b, addr := start(t)
	heard := make(chan string, 10)
	stop := b.Connected(func(id string, here bool) {
		heard <- map[bool]string{true: "+", false: "-"}[here] + id
	})
	defer stop()
	c := mqtt.NewClient(options(addr, "device-a"))
	if k := c.Connect(); !k.WaitTimeout(10*time.Second) || k.Error() != nil {
		t.Fatal(k.Error())
	}
	if got := <-heard; got != "+device-a" {
		t.Errorf("heard %s", got)
	}
	c.Disconnect(0)
	if got := <-heard; got != "-device-a" {
		t.Errorf("heard %s", got)
	}
}

// TestDoorBehind: a client that finds the door behind the guard needs a
// password that was not used.
func TestDoorBehind(t *testing.T) {
	b, _ := start(t)
	password := b.keys.issue("device-a", topic.Device)
	for i, want := range []bool{true, false} {
		o := options(b.mqtt, "device-a").SetPassword(password)
		c := mqtt.NewClient(o)
		k := c.Connect()
		k.WaitTimeout(10 * time.Second)
		if got := k.Error() == nil; got != want {
			t.Errorf("login %d with one password: %v, want %v", i, got, want)
		}
		c.Disconnect(0)
	}
}
