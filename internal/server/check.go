package server

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
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
	if err := o.checkAddress(); err != nil {
		return err
	}
	return o.checkDatabase()
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
