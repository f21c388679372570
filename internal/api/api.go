// Package api is the operators' HTTP interface over the control plane:
// OpenAPI 3.1 (openapi.yaml, kept by a test), problem+json with stable codes,
// keyset cursors, Idempotency-Key, ETag and If-Match, and a stream of events.
//
// It holds no rules and no state of its own: what it answers, the control
// plane said. Devices have another door (package frontend/mender).
package api

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/moult-ota/moult/internal/auth"
	"github.com/moult-ota/moult/internal/control"
)

// Prefix is where the API lives; what changes in breaking ways gets another.
const Prefix = "/api/v1"

// maxBody bounds every JSON body, in bytes; uploads have their own limit.
const maxBody = 1 << 20

// Options says what the API stands on.
type Options struct {
	Control *control.Control
	Log     *slog.Logger    // nil is slog.Default()
	Version string          // of the server, in the description; "" is "dev"
	Closing <-chan struct{} // closed when the server stops: event streams end
}

type api struct {
	huma    huma.API
	control *control.Control
	log     *slog.Logger
	closing <-chan struct{}
	streams chan struct{} // one token for each open event stream
}

// New returns the handler for everything below Prefix.
func New(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", unknown(mux))
	build(mux, o)
	return mux
}

// Spec is the API's description as openapi.yaml has it.
func Spec() *huma.OpenAPI {
	return build(http.NewServeMux(), Options{}).huma.OpenAPI()
}

func build(mux *http.ServeMux, o Options) *api {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	a := &api{control: o.Control, log: o.Log, closing: o.Closing, streams: make(chan struct{}, MaxStreams)}
	a.huma = humago.New(mux, config())
	a.huma.UseMiddleware(a.authorize)
	a.devices()
	a.enrolment()
	a.releases()
	a.deployments()
	a.assignments()
	a.tokens()
	a.events()
	return a
}

func config() huma.Config {
	c := huma.DefaultConfig("Moult operator API", "1")
	c.Info.Description = "Errors are problem+json (RFC 9457) with a stable member `code`. Lists are read with `limit` and `cursor`. " +
		"A POST with an `Idempotency-Key` may be sent again for 24 hours and happens once."
	c.OpenAPIPath = Prefix + "/openapi"
	c.DocsPath, c.SchemasPath = "", "" // their pages load scripts from other people's servers
	c.CreateHooks = nil                // no "$schema" members in answers
	c.RejectUnknownQueryParameters = true
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer", Description: "An operator's token; `moult token create` makes one."},
	}
	return c
}

// scopeKey is where an operation keeps its scope.
const scopeKey = "scope"

// authorize lets a request through when its token has the operation's scope.
func (a *api) authorize(hc huma.Context, next func(huma.Context)) {
	ctx := hc.Context()
	p, err := a.principal(ctx, hc.Header("Authorization"))
	if err == nil {
		err = p.May(hc.Operation().Metadata[scopeKey].(auth.Scope))
	}
	if err != nil {
		a.refuse(hc, problemOf(ctx, a.log, err))
		return
	}
	next(huma.WithContext(hc, auth.With(ctx, p)))
}

func (a *api) principal(ctx context.Context, header string) (auth.Principal, error) {
	secret, err := auth.Bearer(http.Header{"Authorization": {header}})
	if err != nil {
		return auth.Principal{}, err
	}
	t, err := a.control.CheckToken(ctx, secret)
	if err != nil {
		return auth.Principal{}, err
	}
	return auth.Principal{ID: t.ID, Name: t.Name, Scopes: t.Scopes}, nil
}

func (a *api) refuse(hc huma.Context, p *Problem) {
	if p.Status == http.StatusUnauthorized {
		hc.SetHeader("WWW-Authenticate", `Bearer realm="moult"`)
	}
	hc.SetHeader("Content-Type", p.ContentType(""))
	hc.SetStatus(p.Status)
	a.huma.Marshal(hc.BodyWriter(), "application/json", p)
}

// add registers one operation: its scope, and Problems for its errors.
func add[I, O any](a *api, s auth.Scope, op huma.Operation, handle func(context.Context, *I) (*O, error)) {
	op.Path = Prefix + op.Path
	op.Metadata = map[string]any{scopeKey: s}
	op.Security = []map[string][]string{{"token": {string(s)}}}
	op.MaxBodyBytes = maxBody
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		if err != nil {
			return nil, problemOf(ctx, a.log, err)
		}
		return out, nil
	})
}
