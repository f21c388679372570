package api

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/moult-ota/moult/internal/auth"
)

// Idempotency is for requests that may be sent again and happen once.
type Idempotency struct {
	Key    string `header:"Idempotency-Key" maxLength:"200" doc:"The same key and body within 24 hours get the first answer again; another body is refused"`
	method string
	path   string
}

// Resolve keeps what the key stands for besides the body.
func (in *Idempotency) Resolve(hc huma.Context) []error {
	u := hc.URL()
	in.method, in.path = hc.Method(), u.Path
	return nil
}

// sum covers method, path and body: a key that comes with another request is
// a mistake of the caller, and found.
func (in *Idempotency) sum(body any) ([]byte, error) {
	text, err := json.Marshal(body)
	h := sha256.New()
	h.Write([]byte(in.method + " " + in.path + "\n"))
	h.Write(text)
	return h.Sum(nil), err
}

// onceOut is the answer of an idempotent request.
type onceOut[T any] struct {
	Replayed string `header:"Idempotency-Replayed" doc:"true when this is the first answer again"`
	Body     T
}

// once does do, or answers as it was answered before. Keys of different
// tokens are different keys. An error is not kept: the request may be mended
// and sent again under the same key.
func once[T any](ctx context.Context, a *api, in *Idempotency, body any, do func() (T, error)) (*onceOut[T], error) {
	out := &onceOut[T]{}
	if in.Key == "" {
		var err error
		out.Body, err = do()
		return out, err
	}
	sum, err := in.sum(body)
	if err != nil {
		return nil, err
	}
	_, text, replayed, err := a.control.Idempotent(ctx, auth.From(ctx).ID+" "+in.Key, sum, func() (int, []byte, error) {
		answer, err := do()
		if err != nil {
			return 0, nil, err
		}
		text, err := json.Marshal(answer)
		return http.StatusOK, text, err
	})
	if err != nil {
		return nil, err
	}
	if replayed {
		out.Replayed = "true"
	}
	return out, json.Unmarshal(text, &out.Body)
}
