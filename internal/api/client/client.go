// Package client speaks to a Moult server as an operator does. Its types and
// methods are generated from the API's description; this file carries them
// over HTTP. It keeps nothing and prints nothing.
package client

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A Client speaks to one server as the owner of one token.
type Client struct {
	Server    string       // https://ota.example.com
	Token     string       // operator token; empty for none
	HTTP      *http.Client // nil is http.DefaultClient
	UserAgent string       // empty is "moult-client"
	Tries     int          // how often a request that may be repeated is sent; 0 means 3
}

// Limits of what a server may answer, in bytes.
const (
	maxAnswer  = 64 << 20 // a page of 500 devices with everything they provide
	maxProblem = 1 << 20
)

// An Error is what the server refused, and why.
type Error struct {
	Problem
}

// Error says what went wrong and with which part of the request.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Detail)
	if e.Detail == "" {
		fmt.Fprintf(&b, "server answered %d %s", e.Status, e.Title)
	}
	for _, d := range e.Errors {
		fmt.Fprintf(&b, "; %s: %s", d.Location, d.Message)
	}
	return b.String()
}

// Code is the stable name of a server's problem; empty for any other error.
func Code(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// A request is one call, not yet on its way.
type request struct {
	method, path string
	query        url.Values
	header       http.Header
	json         any
	raw          io.Reader
}

// set gives the request a parameter; a zero value is not sent.
func (r *request) set(in, name string, v any) {
	var text string
	switch v := v.(type) {
	case string:
		text = v
	case int64:
		if v != 0 {
			text = strconv.FormatInt(v, 10)
		}
	}
	if in == "header" {
		if name == idempotencyKey && text == "" {
			text = rand.Text()
		}
		r.setHeader(name, text)
		return
	}
	if text != "" {
		if r.query == nil {
			r.query = url.Values{}
		}
		r.query.Set(name, text)
	}
}

func (r *request) setHeader(name, text string) {
	if text == "" {
		return
	}
	if r.header == nil {
		r.header = http.Header{}
	}
	r.header.Set(name, text)
}

// idempotencyKey is always sent where the API takes it, so that a request
// whose answer was lost can be sent again.
const idempotencyKey = "Idempotency-Key"

// repeatable reports whether sending r twice does what sending it once does.
func (r *request) repeatable() bool {
	return r.raw == nil && (r.method != http.MethodPost || r.header.Get(idempotencyKey) != "")
}

// do sends r and reads a JSON answer into out, when there is one.
func (c *Client) do(ctx context.Context, r request, out any) error {
	body, err := c.open(ctx, r)
	if err != nil {
		return err
	}
	defer body.Close()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(body, maxAnswer)).Decode(out); err != nil {
		return fmt.Errorf("read answer to %s %s: %w", r.method, r.path, err)
	}
	return nil
}

// open sends r and hands back the answer's body. A request that may be
// repeated is, when no answer came or the server was busy.
func (c *Client) open(ctx context.Context, r request) (io.ReadCloser, error) {
	tries := max(1, c.Tries)
	if c.Tries == 0 {
		tries = 3
	}
	for try := 1; ; try++ {
		body, err := c.send(ctx, r)
		if err == nil || try == tries || !r.repeatable() || !passing(err) || ctx.Err() != nil {
			return body, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(try*try) * 250 * time.Millisecond):
		}
	}
}

// passing reports whether an error may be gone in a moment.
func passing(err error) bool {
	var e *Error
	return !errors.As(err, &e) || e.Status == http.StatusServiceUnavailable || e.Status == http.StatusBadGateway
}

func (c *Client) send(ctx context.Context, r request) (io.ReadCloser, error) {
	req, err := c.build(ctx, r)
	if err != nil {
		return nil, err
	}
	h := c.HTTP
	if h == nil {
		h = http.DefaultClient
	}
	resp, err := h.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 300 {
		defer resp.Body.Close()
		return nil, problem(resp)
	}
	return resp.Body, nil
}

func (c *Client) build(ctx context.Context, r request) (*http.Request, error) {
	body, kind := r.raw, "application/octet-stream"
	if r.json != nil {
		text, err := json.Marshal(r.json)
		if err != nil {
			return nil, err
		}
		body, kind = bytes.NewReader(text), "application/json"
	}
	address := strings.TrimSuffix(c.Server, "/") + r.path
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, address, body)
	if err != nil {
		return nil, err
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	if body != nil && req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", kind)
	}
	if s, ok := r.raw.(Sized); ok {
		req.ContentLength = s.Size()
	}
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	req.Header.Set("User-Agent", cmp.Or(c.UserAgent, "moult-client"))
	return req, nil
}

// A Sized reader knows how many bytes it holds, and the server is told.
type Sized interface{ Size() int64 }

// problem reads an error answer; one that is no Problem still says its status.
func problem(resp *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
	e := &Error{}
	if json.Unmarshal(text, &e.Problem) != nil || e.Code == "" {
		e.Problem = Problem{Title: http.StatusText(resp.StatusCode), Detail: "server answered " + resp.Status}
	}
	e.Status = int64(resp.StatusCode)
	return e
}

// Raw sends any request below the server's address and hands back the answer
// as it is; body may be nil.
func (c *Client) Raw(ctx context.Context, method, path string, body io.Reader) (io.ReadCloser, error) {
	r := request{method: method, path: path}
	if body != nil {
		r.raw, r.header = body, http.Header{"Content-Type": {"application/json"}}
	}
	return c.send(ctx, r)
}
