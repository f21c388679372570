// Package auth says who an operator is and what he may do. It reads tokens
// from requests and checks scopes; it does not keep tokens (the control plane
// does, hashed) and knows nothing of devices, which sign their requests.
package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// A Scope is one thing that a token may do.
type Scope string

const (
	Read    Scope = "read"    // look at everything
	Deploy  Scope = "deploy"  // create, abort and retry deployments
	Release Scope = "release" // upload and delete artifacts
	Device  Scope = "device"  // accept, reject, preauthorize, decommission
	Admin   Scope = "admin"   // all of the above, and tokens
)

// Scopes lists every scope, the mightiest last.
var Scopes = []Scope{Read, Deploy, Release, Device, Admin}

var (
	ErrNoToken = errors.New("no token in the request")
	ErrScope   = errors.New("token may not do this")
)

// A Principal is whoever sent a request with a good token.
type Principal struct {
	ID     string // of the token
	Name   string // of the token
	Scopes []string
}

// May returns nil when p has the scope. Every token may read, and admin may
// do all; an unknown scope is held by nobody.
func (p Principal) May(s Scope) error {
	switch {
	case !slices.Contains(Scopes, s):
	case p.ID == "":
	case s == Read, slices.Contains(p.Scopes, string(s)), slices.Contains(p.Scopes, string(Admin)):
		return nil
	}
	return fmt.Errorf("%w: it needs the scope %q and has %q", ErrScope, s, strings.Join(p.Scopes, ","))
}

// maxToken bounds what is read as a token, in bytes.
const maxToken = 512

// Bearer returns the token of an Authorization header (RFC 6750 §2.1).
func Bearer(h http.Header) (string, error) {
	scheme, token, _ := strings.Cut(h.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > maxToken {
		return "", ErrNoToken
	}
	return token, nil
}

type contextKey struct{}

// With returns a context that carries p.
func With(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, contextKey{}, p)
}

// From returns the principal of ctx; the zero Principal may do nothing.
func From(ctx context.Context) Principal {
	p, _ := ctx.Value(contextKey{}).(Principal)
	return p
}
