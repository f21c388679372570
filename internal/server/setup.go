package server

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// setupLife is how long the one-time link of a first start works.
const setupLife = 30 * time.Minute

// A setup exchanges the code of a one-time link for an operator token, once.
// The code lives in memory only: a restart ends it, and the token that the
// first start printed beside it stays.
type setup struct {
	mu    sync.Mutex
	code  string // empty: nothing to exchange
	until time.Time
	now   func() time.Time
	token func(context.Context) (string, error)
}

// open makes a new code.
func (s *setup) open() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.code, s.until = rand.Text(), s.now().Add(setupLife)
	return s.code
}

// holds reports whether code works now. The caller has the lock.
func (s *setup) holds(code string) bool {
	return s.code != "" && s.now().Before(s.until) && subtle.ConstantTimeCompare([]byte(code), []byte(s.code)) == 1
}

// exchange uses the code up and returns a token. When no token could be made
// the code still works.
func (s *setup) exchange(ctx context.Context, code string) (token string, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.holds(code) {
		return "", false, nil
	}
	if token, err = s.token(ctx); err != nil {
		return "", true, err
	}
	s.code = ""
	return token, true, nil
}

const setupPage = `<!doctype html><meta charset="utf-8"><title>Moult: first operator</title>
<h1>First operator</h1>
<p>This link works once, until 30 minutes after the server's first start. It answers an operator token with all rights;
keep it where you keep passwords.</p>
<form method="post" action="/setup"><input type="hidden" name="code" value="%s"><button>Show the token</button></form>
`

// maxForm bounds the form that is posted, in bytes.
const maxForm = 4 << 10

func (s *setup) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; form-action 'self'; frame-ancestors 'none'")
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	code := r.FormValue("code")
	if r.Method == http.MethodPost {
		s.post(w, r, code)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.holds(code) {
		gone(w)
		return
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, setupPage, s.code) // ours, and only letters and digits
}

func (s *setup) post(w http.ResponseWriter, r *http.Request, code string) {
	token, ok, err := s.exchange(r.Context(), code)
	switch {
	case err != nil:
		http.Error(w, "no token could be made; the server's log says why, and the link still works", http.StatusInternalServerError)
	case !ok:
		gone(w)
	default:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintln(w, token)
	}
}

func gone(w http.ResponseWriter) {
	http.Error(w, "this link is used up or too old; `moult server reset-operator` makes a new token", http.StatusGone)
}
