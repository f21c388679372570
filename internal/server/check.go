package server

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// ErrOptions is wrapped by errors about options that contradict or endanger.
var ErrOptions = errors.New("bad server options")

// Check refuses options before anything is opened.
func (o Options) Check() error {
	for _, c := range []struct {
		name, value string
		allowed     []string
	}{
		{"tls", o.TLS, []string{"", "self-signed"}},
		{"metrics", o.Metrics, []string{"auto", "open", "token"}},
		{"log-level", o.LogLevel, []string{"debug", "info", "warn", "error"}},
		{"log-format", o.LogFormat, []string{"auto", "json", "text"}},
	} {
		if !slices.Contains(c.allowed, c.value) {
			return fmt.Errorf("%w: %s is %q, want one of %q", ErrOptions, c.name, c.value, c.allowed)
		}
	}
	if (o.TLSCert == "") != (o.TLSKey == "") {
		return fmt.Errorf("%w: --tls-cert and --tls-key go together", ErrOptions)
	}
	if o.TLS != "" && o.TLSCert != "" {
		return fmt.Errorf("%w: --tls and --tls-cert exclude each other", ErrOptions)
	}
	for _, check := range []func() error{o.checkAddress, o.checkMQTT, o.checkDatabase} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// checkAddress refuses plain HTTP where others can listen in: device and
// operator tokens would be theirs.
func (o Options) checkAddress() error {
	host, _, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return fmt.Errorf("%w: listen: %w; want address:port, such as 0.0.0.0:8443", ErrOptions, err)
	}
	if o.PublicURL != "" {
		u, err := url.Parse(o.PublicURL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return fmt.Errorf("%w: public-url is %q, want https://…", ErrOptions, o.PublicURL)
		}
	}
	if o.secure() || o.InsecureHTTP || loopback(host) {
		return nil
	}
	return fmt.Errorf("%w: plain HTTP on %s would show every token to the network; say --tls-cert and --tls-key, "+
		"or --tls self-signed for a start, or --insecure-http when a proxy in front speaks TLS", ErrOptions, o.Listen)
}

// checkMQTT refuses contradictions, and plain MQTT where others can listen in:
// they could log in as a device for as long as its token is good.
func (o Options) checkMQTT() error {
	switch {
	case o.MQTTBroker != "" && (o.MQTT != "" || o.MQTTLeaves != ""):
		return fmt.Errorf("%w: --mqtt and --mqtt-leaves are the embedded broker's, --mqtt-broker is another; say one", ErrOptions)
	case o.MQTTLeaves != "" && o.MQTT == "":
		return fmt.Errorf("%w: --mqtt-leaves needs --mqtt, the door for devices", ErrOptions)
	case (o.MQTTCert == "") != (o.MQTTKey == ""):
		return fmt.Errorf("%w: --mqtt-cert and --mqtt-key go together", ErrOptions)
	case o.MQTTBroker != "" && !strings.HasPrefix(o.MQTTBroker, "mqtt://") && !strings.HasPrefix(o.MQTTBroker, "mqtts://"):
		return fmt.Errorf("%w: mqtt-broker is %q, want mqtts://user:password@host:port", ErrOptions, withoutPassword(o.MQTTBroker))
	}
	if _, err := parseRate(o.MQTTRate); err != nil {
		return fmt.Errorf("%w: mqtt-rate: %w", ErrOptions, err)
	}
	for name, address := range map[string]string{"mqtt": o.MQTT, "mqtt-leaves": o.MQTTLeaves} {
		if address == "" {
			continue
		}
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return fmt.Errorf("%w: %s: %w; want address:port, such as 0.0.0.0:8883", ErrOptions, name, err)
		}
		if !o.secure() && !loopback(host) {
			return fmt.Errorf("%w: plain MQTT on %s would show logins to the network; say --tls-cert and --tls-key, or --tls self-signed for a start", ErrOptions, address)
		}
	}
	return nil
}

// parseRate reads bytes a second, such as 512KiB or 2MiB; empty means none is
// set.
func parseRate(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	digits, unit := text, int64(1)
	for suffix, n := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20} {
		if d, ok := strings.CutSuffix(text, suffix); ok {
			digits, unit = d, n
		}
	}
	n, err := strconv.ParseInt(digits, 10, 32)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q is no rate; want bytes a second, such as 512KiB or 2MiB", text)
	}
	return n * unit, nil
}

func (o Options) carouselRate() int64 {
	n, _ := parseRate(o.MQTTRate) // Check has seen it
	return n
}

func (o Options) checkDatabase() error {
	switch {
	case o.Database == "", strings.HasPrefix(o.Database, "postgres://"), strings.HasPrefix(o.Database, "postgresql://"):
		return nil
	}
	return fmt.Errorf("%w: database is %q; leave it out for SQLite in the data directory, or say postgres://user@host/name", ErrOptions, withoutPassword(o.Database))
}

// secure reports whether the server itself speaks TLS.
func (o Options) secure() bool { return o.TLS != "" || o.TLSCert != "" }

// openMetrics reports whether /metrics needs no token. On loopback nobody
// else can ask, unless a proxy stands in front.
func (o Options) openMetrics() bool {
	host, _, _ := net.SplitHostPort(o.Listen)
	return o.Metrics == "open" || o.Metrics == "auto" && loopback(host) && o.PublicURL == ""
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// withoutPassword hides the password in a database address.
func withoutPassword(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "(not an address)"
	}
	return u.Redacted()
}
