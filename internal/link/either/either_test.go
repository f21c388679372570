package either_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/inventory"
	"github.com/moult-ota/moult/internal/link"
	"github.com/moult-ota/moult/internal/link/either"
)

// A way is a link that answers, unless it is told not to.
type way struct {
	name  string
	err   error
	calls int
}

func (w *way) answer() error                                         { w.calls++; return w.err }
func (w *way) Authenticate(context.Context) error                    { return w.answer() }
func (w *way) Progress(context.Context, fleet.Progress) error        { return w.answer() }
func (w *way) Describe(context.Context, inventory.Attributes) error  { return w.answer() }
func (w *way) Log(context.Context, deployment.ID, []link.Line) error { return w.answer() }
func (w *way) Next(context.Context, fleet.Report) (o link.Offer, _ error) {
	return link.Offer{Deployment: "d", URI: w.name + ":r2"}, w.answer()
}

func (w *way) Open(_ context.Context, uri string, _ int64) (link.Stream, error) {
	if !strings.HasPrefix(uri, w.name+":") {
		return link.Stream{}, link.ErrExpired
	}
	return link.Stream{Body: io.NopCloser(strings.NewReader(w.name))}, w.answer()
}

var errLine = errors.New("no route to host")

func TestFallsBackAndReturns(t *testing.T) {
	first, second := &way{name: "mqtt"}, &way{name: "http"}
	now := time.Unix(1, 0)
	l := either.New(first, second, either.Options{Now: func() time.Time { return now }})
	next := func() string {
		t.Helper()
		o, _ := l.Next(t.Context(), fleet.Report{})
		return o.URI
	}
	if got := next(); got != "mqtt:r2" {
		t.Fatalf("offer = %s, want the first link's", got)
	}
	first.err = errLine
	for range 2 {
		if err := l.Progress(t.Context(), fleet.Progress{}); !errors.Is(err, errLine) {
			t.Fatalf("Progress = %v, want %v", err, errLine)
		}
	}
	if err := l.Progress(t.Context(), fleet.Progress{}); err != nil {
		t.Fatalf("third Progress = %v, want the second link's answer", err)
	}
	if _, err := l.Open(t.Context(), "mqtt:r2", 0); !errors.Is(err, link.ErrExpired) {
		t.Errorf("Open of what the first offered = %v, want %v", err, link.ErrExpired)
	}
	if got := next(); got != "http:r2" {
		t.Errorf("offer = %s, want the second link's", got)
	}
	if _, err := l.Open(t.Context(), "http:r2", 0); err != nil {
		t.Errorf("Open = %v", err)
	}
	first.err, first.calls = nil, 0
	next()
	if first.calls != 0 {
		t.Error("the first link was asked before its time")
	}
	now = now.Add(10 * time.Minute)
	if got := next(); got != "mqtt:r2" {
		t.Errorf("offer = %s, want the first link's again", got)
	}
}

func TestAnswersAreNoReasonToChange(t *testing.T) {
	for _, err := range []error{link.ErrCanceled, link.ErrNotFound, link.ErrUnauthorized, link.ErrTooLarge, &link.BusyError{After: time.Second}} {
		first, second := &way{name: "a", err: err}, &way{name: "b"}
		l := either.New(first, second, either.Options{})
		for range 5 {
			if got := l.Progress(t.Context(), fleet.Progress{}); !errors.Is(got, err) {
				t.Errorf("Progress = %v, want %v", got, err)
			}
		}
		if second.calls > 0 {
			t.Errorf("%v: the second link was asked", err)
		}
	}
}

func TestOpenAfterARestart(t *testing.T) {
	l := either.New(&way{name: "a"}, &way{name: "b"}, either.Options{})
	s, err := l.Open(t.Context(), "b:r2", 0)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(s.Body); string(got) != "b" {
		t.Errorf("opened %q, want b's", got)
	}
	if _, err := l.Open(t.Context(), "c:r2", 0); !errors.Is(err, link.ErrExpired) {
		t.Errorf("Open of an address that nobody knows = %v, want %v", err, link.ErrExpired)
	}
}
