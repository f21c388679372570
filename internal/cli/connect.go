package cli

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/moult-ota/moult/internal/api/client"
	"github.com/moult-ota/moult/internal/version"
)

// account says which server is asked, and as whom: by flag, else by the
// environment, else by the context that is named or current.
func (p *program) account() (account, error) {
	s, err := p.load()
	if err != nil {
		return account{}, err
	}
	a := account{}
	name := p.context
	if name == "" {
		name = s.Current
	}
	if kept := s.Contexts[name]; kept != nil {
		a = *kept
	} else if p.context != "" {
		return a, exit(exitNotFound, "no context %q; `moult context list` shows them", p.context)
	}
	if p.context == "" {
		p.overlay(&a)
	}
	if a.Server == "" {
		return a, exit(exitAuth, "no server is known; log in with: moult login URL --token-stdin, or set MOULT_SERVER and MOULT_TOKEN")
	}
	return a, checkURL(a.Server)
}

// overlay lets environment and flag win. A token goes only to the server that
// it was kept for.
func (p *program) overlay(a *account) {
	env, _ := p.lookup("MOULT_SERVER")
	for _, server := range []string{env, p.server} {
		if server != "" && server != a.Server {
			*a = account{Server: server}
		}
	}
	if token, _ := p.lookup("MOULT_TOKEN"); token != "" {
		a.Token = strings.TrimSpace(token)
	}
	if pin, _ := p.lookup("MOULT_TLS_FINGERPRINT"); pin != "" {
		a.Fingerprint = pin
	}
}

func checkURL(server string) error {
	u, err := url.Parse(server)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return usage("server address %q is not one; want https://host:port", server)
	}
	return nil
}

// connect returns a client for the account.
func (p *program) connect() (*client.Client, error) {
	a, err := p.account()
	if err != nil {
		return nil, err
	}
	return a.client()
}

func (a account) client() (*client.Client, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	t.TLSHandshakeTimeout = 10 * time.Second
	if a.Fingerprint != "" {
		cfg, err := pinned(a.Fingerprint)
		if err != nil {
			return nil, err
		}
		t.TLSClientConfig = cfg
	}
	return &client.Client{Server: a.Server, Token: a.Token, HTTP: &http.Client{Transport: t}, UserAgent: "moult/" + version.Version}, nil
}

// pinned trusts one certificate and no authority.
func pinned(fingerprint string) (*tls.Config, error) {
	want, err := hex.DecodeString(strings.ReplaceAll(fingerprint, ":", ""))
	if err != nil || len(want) != sha256.Size {
		return nil, usage("tls-fingerprint: want the SHA-256 of the certificate, 64 hexadecimal digits")
	}
	return &tls.Config{
		InsecureSkipVerify: true, // VerifyConnection is stricter
		VerifyConnection: func(cs tls.ConnectionState) error {
			if len(cs.PeerCertificates) == 0 {
				return errors.New("server shows no certificate")
			}
			got := sha256.Sum256(cs.PeerCertificates[0].Raw)
			if subtle.ConstantTimeCompare(got[:], want) != 1 {
				return coded{fmt.Errorf("server's certificate has fingerprint %x, want %x; it is another server, or somebody in between", got, want), exitVerify}
			}
			return nil
		},
	}, nil
}
