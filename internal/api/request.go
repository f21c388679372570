package api

import (
	"context"
	"encoding/json"
	"net/http"
)

type requestID struct{}

// WithRequestID returns a context whose problems and log lines carry id.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestID{}, id)
}

// RequestID is the id of the request that ctx belongs to; empty for none.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestID{}).(string)
	return id
}

// methods are those that the API uses.
var methods = []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete}

// unknown answers what no operation does: 405 with Allow when the path has
// other methods, 404 otherwise.
func unknown(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := NewProblem(http.StatusNotFound, "no such path: "+r.URL.Path+"; "+Prefix+"/openapi.yaml lists them")
		for _, m := range methods {
			if _, pattern := mux.Handler(&http.Request{Method: m, URL: r.URL, Host: r.Host}); pattern != "/" {
				w.Header().Add("Allow", m)
				p = NewProblem(http.StatusMethodNotAllowed, r.Method+" does not work here; see the header Allow")
			}
		}
		p.RequestID = RequestID(r.Context())
		WriteProblem(w, p)
	})
}

// WriteProblem answers with p, for handlers outside the API.
func WriteProblem(w http.ResponseWriter, p *Problem) {
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	json.NewEncoder(w).Encode(p)
}
