package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/moult-ota/moult/internal/wire/menderapi"
)

// servers are the way up.
type servers struct {
	all     []*url.URL
	client  *http.Client
	timeout time.Duration

	mu      sync.Mutex
	current int // the one that answered last
}

// errDown means that no server answered.
var errDown = errors.New("the uplink is down")

// A message is a request on its way up.
type message struct {
	Method    string
	Path      string // with its query
	Type      string // of the body
	Token     string // as the device showed it; empty for none
	Signature string // of an authentication request
	Body      []byte
}

// An answer is what the server said.
type answer struct {
	code   int
	header http.Header
	body   []byte
	from   *url.URL
}

func (a answer) good() bool { return a.code/100 == 2 }

// passed are the headers of an answer that devices see.
var passed = []string{"Content-Type", "Retry-After", menderapi.RequestIDHeader}

func (a answer) write(w http.ResponseWriter) {
	for _, name := range passed {
		if v := a.header.Get(name); v != "" {
			w.Header().Set(name, v)
		}
	}
	w.WriteHeader(a.code)
	w.Write(a.body)
}

// ask sends a message to the server that answered last, else to the others.
// limit bounds the answer. errDown: none answered.
func (s *servers) ask(ctx context.Context, m message, limit int64) (answer, error) {
	s.mu.Lock()
	first := s.current
	s.mu.Unlock()
	var errs []error
	for n := range s.all {
		i := (first + n) % len(s.all)
		a, err := s.exchange(ctx, s.all[i], m, limit)
		if err == nil && !troubled(a) {
			s.mu.Lock()
			s.current = i
			s.mu.Unlock()
			return a, nil
		}
		if err == nil {
			err = fmt.Errorf("%s answered %d", s.all[i].Host, a.code)
		}
		errs = append(errs, err)
	}
	return answer{}, fmt.Errorf("%w: %w", errDown, errors.Join(errs...))
}

// troubled reports an answer of something in front of the server, or of one
// that cannot serve now.
func troubled(a answer) bool {
	switch a.code {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

func (s *servers) exchange(ctx context.Context, to *url.URL, m message, limit int64) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, m.Method, to.String()+m.Path, bytes.NewReader(m.Body))
	if err != nil {
		return answer{}, err
	}
	for name, v := range map[string]string{"Content-Type": m.Type, "Authorization": bearer(m.Token), menderapi.SignatureHeader: m.Signature} {
		if v != "" {
			r.Header.Set(name, v)
		}
	}
	resp, err := s.client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err == nil && int64(len(body)) > limit {
		err = fmt.Errorf("%s answered more than %d bytes", to.Host, limit)
	}
	return answer{resp.StatusCode, resp.Header, body, to}, err
}

func bearer(token string) string {
	if token == "" {
		return ""
	}
	return "Bearer " + token
}
