// Package httplink reaches a server over HTTP, in Mender's device API: our
// own servers, and Mender's. Its bytes are package menderapi's.
package httplink

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/inventory"
	"github.com/moult-ota/moult/internal/link"
	"github.com/moult-ota/moult/internal/wire/menderapi"
)

// MaxServers bounds the addresses of one fleet.
const MaxServers = 16

// Options say whom to reach, and as whom.
type Options struct {
	Servers   []string // base addresses; the next one is asked when one does not answer
	Identity  device.Identity
	Key       crypto.Signer
	Token     string            // enrolment token; empty for none
	Transport http.RoundTripper // nil means http.DefaultTransport
	Timeout   time.Duration     // of one exchange; 0 means 30 seconds
	Idle      time.Duration     // without a byte of a download; 0 means 60 seconds
	Now       func() time.Time  // for Retry-After dates; nil means time.Now
}

// A Link is a link.Link over HTTP.
type Link struct {
	o       Options
	client  *http.Client
	key     string // PEM
	servers []*url.URL
	current int    // the server that is asked first
	token   string // of that server; empty: not let in yet
	old     bool   // that server knows no v2
}

var _ link.Link = (*Link)(nil)

// New checks the addresses and the key; it does not connect.
func New(o Options) (*Link, error) {
	if len(o.Servers) == 0 || len(o.Servers) > MaxServers {
		return nil, fmt.Errorf("reach server: %d addresses, want 1 to %d", len(o.Servers), MaxServers)
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Idle == 0 {
		o.Idle = 60 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	key, err := menderapi.NewKey(o.Key.Public())
	if err != nil {
		return nil, fmt.Errorf("reach server: %w", err)
	}
	l := &Link{o: o, client: &http.Client{Transport: o.Transport}, key: key.PEM()}
	for _, text := range o.Servers {
		u, err := parseServer(text)
		if err != nil {
			return nil, err
		}
		l.servers = append(l.servers, u)
	}
	return l, nil
}

// NewOpener returns a Link without a server: it opens full addresses only.
func NewOpener(transport http.RoundTripper, now func() time.Time) link.Opener {
	o := Options{Transport: transport, Idle: 60 * time.Second, Now: now}
	return &Link{o: o, client: &http.Client{Transport: transport}}
}

func parseServer(text string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSuffix(text, "/"))
	if err != nil {
		return nil, fmt.Errorf("server address %q: %w", text, err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" {
		return nil, fmt.Errorf("server address %q: want https://host[:port][/path]", text)
	}
	return u, nil
}

// Authenticate drops the token and asks for a new one.
func (l *Link) Authenticate(ctx context.Context) error {
	return l.anyServer(func() error { return l.authenticate(ctx) })
}

// Next asks in v2, and in v1 of a server that does not know v2.
func (l *Link) Next(ctx context.Context, r fleet.Report) (link.Offer, error) {
	req := menderapi.NewNextRequest(r)
	if !l.old {
		a, err := l.call(ctx, http.MethodPost, menderapi.NextPath, req.Append(nil), menderapi.MaxNextReply)
		if err == nil && a.code != http.StatusNotFound {
			return parseOffer(a)
		}
		if err != nil {
			return link.Offer{}, fmt.Errorf("ask for work: %w", err)
		}
		l.old = true
	}
	a, err := l.nextV1(ctx, r)
	if err != nil {
		return link.Offer{}, fmt.Errorf("ask for work: %w", err)
	}
	return parseOffer(a)
}

func (l *Link) nextV1(ctx context.Context, r fleet.Report) (answer, error) {
	query := url.Values{
		menderapi.ArtifactName: {r.Provides[menderapi.ArtifactName]},
		menderapi.DeviceType:   {r.Type},
	}
	return l.call(ctx, http.MethodGet, menderapi.NextV1Path+"?"+query.Encode(), nil, menderapi.MaxNextReply)
}

func parseOffer(a answer) (link.Offer, error) {
	if a.code == http.StatusNoContent {
		return link.Offer{}, nil
	}
	if a.code != http.StatusOK {
		return link.Offer{}, fmt.Errorf("ask for work: %w", a.err())
	}
	r, err := menderapi.ParseNextReply(a.body)
	if err != nil {
		return link.Offer{}, fmt.Errorf("ask for work: %w", err)
	}
	as := r.Assignment
	return link.Offer{
		Deployment: as.Deployment, Artifact: as.Artifact.Name,
		DeviceTypes: as.Artifact.DeviceTypes, URI: r.URI, Size: as.Artifact.Size,
	}, nil
}

// Progress reports a state.
func (l *Link) Progress(ctx context.Context, p fleet.Progress) error {
	s, err := menderapi.NewStatus(p)
	if err != nil {
		return err
	}
	a, err := l.call(ctx, http.MethodPut, menderapi.StatusPath(p.Deployment), s.Append(nil), menderapi.MaxErrorBody)
	if err == nil {
		err = a.err()
	}
	if err != nil {
		return fmt.Errorf("report %s: %w", p.State, err)
	}
	return nil
}

// Describe replaces the inventory.
func (l *Link) Describe(ctx context.Context, attributes inventory.Attributes) error {
	body, err := menderapi.AppendAttributes(nil, attributes)
	if err != nil {
		return fmt.Errorf("report inventory: %w", err)
	}
	a, err := l.call(ctx, http.MethodPut, menderapi.InventoryPath, body, menderapi.MaxErrorBody)
	if err == nil && a.code == http.StatusMethodNotAllowed {
		a, err = l.call(ctx, http.MethodPatch, menderapi.InventoryPath, body, menderapi.MaxErrorBody)
	}
	if err == nil {
		err = a.err()
	}
	if err != nil {
		return fmt.Errorf("report inventory: %w", err)
	}
	return nil
}

// Log hands over the log of a deployment.
func (l *Link) Log(ctx context.Context, d deployment.ID, lines []link.Line) error {
	log := make([]menderapi.Message, len(lines))
	for i, line := range lines {
		log[i] = menderapi.Message{At: line.At, Level: line.Level, Text: line.Message}
	}
	a, err := l.call(ctx, http.MethodPut, menderapi.LogPath(d), menderapi.AppendLog(nil, log), menderapi.MaxErrorBody)
	if err == nil {
		err = a.err()
	}
	if err != nil {
		return fmt.Errorf("send log: %w", err)
	}
	return nil
}

// anyServer tries each server once, beginning with the one that worked last.
func (l *Link) anyServer(try func() error) error {
	var errs []error
	for range l.servers {
		err := try()
		if err == nil || !away(err) {
			return err
		}
		errs = append(errs, err)
		l.current = (l.current + 1) % len(l.servers)
		l.token, l.old = "", false
	}
	return errors.Join(errs...)
}

// away reports whether another server may do better.
func away(err error) bool {
	var busy *link.BusyError
	switch {
	case errors.As(err, &busy), errors.Is(err, link.ErrCanceled), errors.Is(err, link.ErrNotFound), errors.Is(err, link.ErrTooLarge):
		return false
	}
	return !errors.Is(err, context.Canceled)
}
