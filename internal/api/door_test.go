package api_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"github.com/moult-ota/moult/internal/api"
	"github.com/moult-ota/moult/internal/api/client"
	"github.com/moult-ota/moult/internal/server/servertest"
)

func asError(err error, e **client.Error) bool { return errors.As(err, e) }

func second[T any](_ T, err error) error { return err }

// everyOperation fails when the API has an operation that calls has not.
func everyOperation[T any](t *testing.T, calls map[string]T) {
	t.Helper()
	n := 0
	for _, item := range api.Spec().Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Delete} {
			if op == nil {
				continue
			}
			n++
			if _, ok := calls[op.OperationID]; !ok {
				t.Errorf("operation %s is not tried", op.OperationID)
			}
		}
	}
	if n != len(calls) {
		t.Errorf("the API has %d operations, %d are tried", n, len(calls))
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	w := servertest.Start(t)
	for _, tt := range []struct {
		method, path string
		status       int
		code, allow  string
	}{
		{"GET", "/api/v1/nothing", 404, "not_found", ""},
		{"GET", "/api/v2/devices", 404, "not_found", ""},
		{"PUT", "/api/v1/deployments", 405, "method_not_allowed", "GET,POST"},
		{"GET", "/api/v1/devices?colour=red", 422, "invalid", ""},
		{"GET", "/api/v1/devices?limit=many", 422, "invalid", ""},
		{"POST", "/api/v1/tokens", 400, "invalid", ""},
	} {
		resp := raw(t, w.Client, tt.method, tt.path)
		body := must(io.ReadAll(resp.Body))(t)
		if resp.StatusCode != tt.status || !strings.Contains(string(body), `"code":"`+tt.code+`"`) || strings.Join(resp.Header["Allow"], ",") != tt.allow {
			t.Errorf("%s %s = %d %v %s, want %d %s", tt.method, tt.path, resp.StatusCode, resp.Header["Allow"], body, tt.status, tt.code)
		}
		if kind := resp.Header.Get("Content-Type"); kind != "application/problem+json" {
			t.Errorf("%s %s: Content-Type %q", tt.method, tt.path, kind)
		}
	}
}

func TestBodyLimit(t *testing.T) {
	w := servertest.Start(t)
	body := io.MultiReader(strings.NewReader(`{"name":"`), io.LimitReader(endless{}, 2<<20), strings.NewReader(`"}`))
	_, err := w.Raw(t.Context(), http.MethodPost, "/api/v1/tokens", body)
	refused(t, "a body of 2 MiB", err, 413, "too_large")
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestDescriptionIsServed(t *testing.T) {
	w := servertest.Start(t)
	resp := raw(t, &client.Client{Server: w.Server}, http.MethodGet, "/api/v1/openapi.yaml")
	served := must(io.ReadAll(resp.Body))(t)
	want := must(api.Spec().YAML())(t)
	if resp.StatusCode != 200 || string(served) != string(want) {
		t.Errorf("GET openapi.yaml = %s with %d bytes, want the %d committed", resp.Status, len(served), len(want))
	}
}
