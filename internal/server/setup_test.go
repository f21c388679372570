package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

type setupWorld struct {
	setup
	clock time.Time
	made  int
	fail  error
}

func newSetup() *setupWorld {
	w := &setupWorld{clock: time.Unix(1e9, 0)}
	w.setup.now = func() time.Time { return w.clock }
	w.setup.token = func(context.Context) (string, error) { w.made++; return "the-token", w.fail }
	return w
}

func (w *setupWorld) ask(method, code string) (int, string) {
	r := httptest.NewRequest(method, "/setup?code="+url.QueryEscape(code), nil)
	if method == http.MethodPost {
		r = httptest.NewRequest(method, "/setup", strings.NewReader(url.Values{"code": {code}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	body, _ := io.ReadAll(rec.Body)
	return rec.Code, string(body)
}

func TestSetupLinkWorksOnce(t *testing.T) {
	w := newSetup()
	code := w.open()
	for range 2 { // looking does not use it up: chat programs look at links
		if status, body := w.ask("GET", code); status != 200 || strings.Contains(body, "the-token") {
			t.Fatalf("GET = %d %q, want 200 without the token", status, body)
		}
	}
	if status, body := w.ask("POST", code); status != 200 || body != "the-token\n" {
		t.Fatalf("POST = %d %q, want the token", status, body)
	}
	for _, method := range []string{"GET", "POST"} {
		if status, _ := w.ask(method, code); status != http.StatusGone {
			t.Errorf("%s of a used link = %d, want 410", method, status)
		}
	}
	if w.made != 1 {
		t.Errorf("made %d tokens, want 1", w.made)
	}
}

func TestSetupLinkRefused(t *testing.T) {
	w := newSetup()
	if status, _ := w.ask("POST", ""); status != http.StatusGone {
		t.Errorf("empty code before any link = %d, want 410", status)
	}
	code := w.open()
	for name, guess := range map[string]string{"empty": "", "wrong": strings.Repeat("A", len(code)), "longer": code + "A"} {
		if status, _ := w.ask("POST", guess); status != http.StatusGone {
			t.Errorf("%s code = %d, want 410", name, status)
		}
	}
	w.clock = w.clock.Add(setupLife)
	if status, _ := w.ask("POST", code); status != http.StatusGone {
		t.Errorf("old code = %d, want 410", status)
	}
	if w.made != 0 {
		t.Errorf("made %d tokens, want none", w.made)
	}
}

func TestSetupLinkSurvivesAFailure(t *testing.T) {
	w := newSetup()
	code := w.open()
	w.fail = errors.New("store is down")
	if status, body := w.ask("POST", code); status != 500 || strings.Contains(body, "down") {
		t.Errorf("POST = %d %q, want 500 without the cause", status, body)
	}
	w.fail = nil
	if status, _ := w.ask("POST", code); status != 200 {
		t.Errorf("POST after the failure = %d, want 200", status)
	}
}
