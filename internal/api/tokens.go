package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/moult-ota/moult/internal/auth"
)

func (a *api) tokens() {
	tags := []string{"tokens"}
	add(a, auth.Read, huma.Operation{
		OperationID: "whoami", Method: http.MethodGet, Path: "/whoami", Summary: "Say which token this is and what it may do", Tags: tags,
	}, a.whoami)
	add(a, auth.Admin, huma.Operation{
		OperationID: "list-tokens", Method: http.MethodGet, Path: "/tokens", Summary: "List operator tokens, without their secrets", Tags: tags,
	}, a.listTokens)
	add(a, auth.Admin, huma.Operation{
		OperationID: "create-token", Method: http.MethodPost, Path: "/tokens", Summary: "Make an operator token", Tags: tags, DefaultStatus: http.StatusCreated,
		Description: "Takes no Idempotency-Key, because its answer is a secret and is not kept.",
	}, a.createToken)
	add(a, auth.Admin, huma.Operation{
		OperationID: "delete-token", Method: http.MethodDelete, Path: "/tokens/{id}", Summary: "Delete an operator token; it stops working at once",
		Tags: tags, DefaultStatus: http.StatusNoContent,
	}, a.deleteToken)
}

// Whoami is the token that a request came with.
type Whoami struct {
	ID     string   `json:"id"`
	Name   string   `json:"name"`
	Scopes []string `json:"scopes"`
}

type whoamiOut struct{ Body Whoami }

func (a *api) whoami(ctx context.Context, _ *struct{}) (*whoamiOut, error) {
	p := auth.From(ctx)
	return &whoamiOut{Body: Whoami{ID: p.ID, Name: p.Name, Scopes: p.Scopes}}, nil
}

type tokensOut struct{ Body Page[Token] }

func (a *api) listTokens(ctx context.Context, _ *struct{}) (*tokensOut, error) {
	list, err := a.control.Tokens(ctx)
	if err != nil {
		return nil, err
	}
	out := &tokensOut{}
	out.Body.Items = shapes(list, tokenShape)
	return out, nil
}

// NewToken is what create-token takes.
type NewToken struct {
	Name   string   `json:"name" minLength:"1" maxLength:"256"`
	Scopes []string `json:"scopes" minItems:"1" maxItems:"5" enum:"read,deploy,release,device,admin"`
	TTL    int      `json:"ttl_seconds,omitempty" minimum:"0" maximum:"315360000" doc:"How long it lives; 0 is for ever"`
}

type createTokenIn struct{ Body NewToken }

type tokenOut struct{ Body Token }

func (a *api) createToken(ctx context.Context, in *createTokenIn) (*tokenOut, error) {
	t, secret, err := a.control.CreateToken(ctx, in.Body.Name, in.Body.Scopes, time.Duration(in.Body.TTL)*time.Second)
	if err != nil {
		return nil, err
	}
	out := &tokenOut{Body: tokenShape(t)}
	out.Body.Secret = secret
	return out, nil
}

func (a *api) deleteToken(ctx context.Context, in *idIn) (*struct{}, error) {
	return nil, a.control.DeleteToken(ctx, in.ID)
}
