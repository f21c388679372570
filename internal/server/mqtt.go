package server

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/moult-ota/moult/internal/broker"
	"github.com/moult-ota/moult/internal/broker/embedded"
	external "github.com/moult-ota/moult/internal/broker/mqtt"
	"github.com/moult-ota/moult/internal/frontend/mqtt"
)

// hasMQTT reports whether devices may come through a broker.
func (o Options) hasMQTT() bool { return o.MQTT != "" || o.MQTTBroker != "" }

// mqttSide is the broker, its listeners, and the door behind it.
type mqttSide struct {
	broker    broker.Broker
	objects   objects
	listeners []net.Listener
	keys      []string   // public, which devices are given
	ran       chan error // what the door's Run returned
}

// openMQTT opens the broker and the door, which serves until run ends.
func (s *Server) openMQTT(ctx, run context.Context) (err error) {
	defer func() {
		if err != nil && s.mqtt.broker != nil {
			s.mqtt.broker.Close()
			s.mqtt.broker = nil
		}
	}()
	s.mqtt.ran = make(chan error, 1)
	keys, err := sessionKeys(s.options.Data)
	if err != nil {
		return err
	}
	s.mqtt.keys = public(keys)
	after, err := s.control.Latest(ctx)
	if err != nil {
		return err
	}
	if s.options.MQTTBroker != "" {
		s.mqtt.broker, err = s.dialBroker(ctx)
	} else {
		s.mqtt.broker, err = s.embed()
	}
	if err != nil {
		return err
	}
	ready := make(chan struct{})
	door, err := mqtt.New(mqtt.Options{
		Ready: func() { close(ready) },
		Core:  s.control, Members: s.control, Broker: s.mqtt.broker, Objects: s.mqtt.objects, Keys: keys,
		After: after, Types: s.control.DeploymentTypes, Rate: s.options.carouselRate(), Logger: s.log,
	})
	if err != nil {
		return err
	}
	go func() { s.mqtt.ran <- door.Run(run) }()
	select {
	case <-ready:
	case err := <-s.mqtt.ran:
		return err
	}
	if b, ok := s.mqtt.broker.(*embedded.Broker); ok {
		if err := s.openDoors(b); err != nil {
			s.stopRun()
			return errors.Join(err, <-s.mqtt.ran)
		}
	}
	return nil
}

// embed starts the embedded broker.
func (s *Server) embed() (broker.Broker, error) {
	cfg, _, err := s.options.certificate(time.Now())
	if err != nil {
		return nil, err
	}
	b, err := embedded.Start(embedded.Options{
		Dir: filepath.Join(s.options.Data, "broker"), Authenticate: mqtt.Gate{Members: s.control}.Login,
		TLS: cfg, Log: s.log, Children: s.control.Children,
	})
	if err != nil {
		return nil, err // and no typed nil
	}
	return b, nil
}

// openDoors lets devices and leaves in; somebody hears them.
func (s *Server) openDoors(b *embedded.Broker) error {
	cfg, _, err := s.options.certificate(time.Now())
	if err == nil {
		err = s.door(s.options.MQTT, nil, b.Serve)
	}
	if err == nil && s.options.MQTTLeaves != "" {
		err = s.door(s.options.MQTTLeaves, cfg, b.ServeLeaves)
	}
	return err
}

// door listens, and serves until the broker is closed.
func (s *Server) door(address string, cfg *tls.Config, serve func(net.Listener) error) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen for MQTT: %w; --mqtt and --mqtt-leaves take other addresses", err)
	}
	s.mqtt.listeners = append(s.mqtt.listeners, l)
	if cfg != nil {
		l = tls.NewListener(l, cfg)
	}
	go func() {
		if err := serve(l); !errors.Is(err, broker.ErrClosed) {
			s.log.Error("MQTT door", "address", address, "error", err)
		}
	}()
	return nil
}

// dialBroker connects to a broker that others run.
func (s *Server) dialBroker(ctx context.Context) (broker.Broker, error) {
	u, err := url.Parse(s.options.MQTTBroker)
	if err != nil {
		return nil, errors.New("mqtt-broker is no address; want mqtts://user:password@host:port")
	}
	o := external.Options{ClientID: "moult-server-" + rand.Text()[:8], Username: u.User.Username(), Log: s.log}
	o.Password, _ = u.User.Password()
	u.User = nil
	o.URL = u.String()
	if o.TLS, err = s.options.brokerTLS(); err != nil {
		return nil, err
	}
	b, err := external.Dial(ctx, o)
	if err != nil {
		return nil, err
	}
	return b, nil
}

// brokerTLS is what the server shows to a broker, and whom it trusts.
func (o Options) brokerTLS() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.MQTTCA != "" {
		text, err := os.ReadFile(o.MQTTCA)
		if err != nil {
			return nil, fmt.Errorf("read mqtt-ca: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("read mqtt-ca %s: no certificate in it", o.MQTTCA)
		}
	}
	if o.MQTTCert != "" {
		pair, err := tls.LoadX509KeyPair(o.MQTTCert, o.MQTTKey)
		if err != nil {
			return nil, fmt.Errorf("load mqtt-cert: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// closeMQTT waits for the door, whose run has ended, and lets the broker go.
func (s *Server) closeMQTT() error {
	if s.mqtt.broker == nil {
		return nil
	}
	err := <-s.mqtt.ran
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return errors.Join(err, s.mqtt.broker.Close())
}

// MQTTAddrs are where devices and gateways' brokers find the embedded broker.
func (s *Server) MQTTAddrs() (all []net.Addr) {
	for _, l := range s.mqtt.listeners {
		all = append(all, l.Addr())
	}
	return all
}

// SessionKeys are the public session keys, which devices are given.
func (s *Server) SessionKeys() []string { return s.mqtt.keys }

// greetMQTT says where devices find the broker, and which keys they are given.
func (s *Server) greetMQTT(out io.Writer) {
	scheme := "mqtt"
	if s.options.secure() {
		scheme = "mqtts"
	}
	if s.options.MQTT != "" {
		fmt.Fprintf(out, "devices by MQTT: %s://%s\n", scheme, s.mqtt.listeners[0].Addr())
	}
	if len(s.mqtt.listeners) > 1 {
		fmt.Fprintf(out, "gateways' brokers: %s\n", s.mqtt.listeners[1].Addr())
	}
	for _, key := range s.mqtt.keys {
		fmt.Fprintf(out, "session key for devices: %s\n", key)
	}
}
