package embedded

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/moult-ota/moult/internal/broker"
)

// A Cluster joins several brokers, so that a message that comes to one reaches
// the clients of all.
type Cluster struct {
	Name   string   // the same for all; empty: alone
	Listen string   // host:port for the others
	Routes []string // the others, nats://user:password@host:port
	User   string   // what the others show
	Secret string
}

// Bounds of what NATS holds for one client that does not read, and of what it
// keeps. Retained hints are few and small.
const (
	maxPending = 4 << 20
	maxStore   = 256 << 20
	maxMemory  = 64 << 20
)

// nats are the options of NATS: no port but the MQTT door on loopback, which
// only the guard has passwords for.
func (o Options) nats(k *keys) (*server.Options, error) {
	opts := &server.Options{
		ServerName: "moult-" + rand.Text(), LeafNode: leafDoor(), DontListen: true, NoSigs: true, NoLog: o.Log == nil, NoSystemAccount: false,
		CustomClientAuthentication: k, AuthTimeout: 5, WriteDeadline: 30 * time.Second,
		MaxPayload: broker.MaxPacket, MaxPending: maxPending, MaxControlLine: 4096,
		JetStream: true, StoreDir: o.Dir, JetStreamMaxMemory: maxMemory, JetStreamMaxStore: maxStore,
		MQTT:                  server.MQTTOpts{Host: "127.0.0.1", Port: -1},
		DisableShortFirstPing: true,
	}
	if o.Cluster.Name == "" {
		return opts, nil
	}
	return opts, o.Cluster.join(opts)
}

func (c Cluster) join(opts *server.Options) error {
	host, port, err := hostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	opts.ServerName = c.Name + "-" + c.Listen
	opts.Cluster = server.ClusterOpts{Name: c.Name, Host: host, Port: port, Username: c.User, Password: c.Secret}
	for _, r := range c.Routes {
		opts.RoutesStr += r + ","
	}
	if opts.Routes = server.RoutesFromStr(opts.RoutesStr); len(opts.Routes) != len(c.Routes) {
		return fmt.Errorf("cluster: routes %q: want nats://user:password@host:port", c.Routes)
	}
	return nil
}

// logger is a server.Logger. What NATS notices is not news to an operator.
type logger struct{ *slog.Logger }

func (l logger) Noticef(f string, v ...any) { l.Debug(fmt.Sprintf(f, v...)) }
func (l logger) Warnf(f string, v ...any)   { l.Warn("broker: " + fmt.Sprintf(f, v...)) }
func (l logger) Errorf(f string, v ...any)  { l.Error("broker: " + fmt.Sprintf(f, v...)) }
func (l logger) Fatalf(f string, v ...any)  { l.Error("broker: " + fmt.Sprintf(f, v...)) }
func (l logger) Debugf(string, ...any)      {}
func (l logger) Tracef(string, ...any)      {}
