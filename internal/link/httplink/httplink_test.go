package httplink_test

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/inventory"
	"github.com/moult-ota/moult/internal/link"
	"github.com/moult-ota/moult/internal/link/httplink"
	"github.com/moult-ota/moult/internal/wire/menderapi"
)

// A server answers with what its script says for a path, and lets everybody in.
type server struct {
	*httptest.Server
	answers map[string]http.HandlerFunc
	calls   []string
	logins  int
}

func newServer(t *testing.T) *server {
	s := &server{answers: map[string]http.HandlerFunc{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.calls = append(s.calls, r.Method+" "+r.URL.Path)
		if answer := s.answers[r.URL.Path]; answer != nil {
			answer(w, r)
			return
		}
		if r.URL.Path == menderapi.AuthPath {
			s.logins++
			fmt.Fprintf(w, "token-number-%d", s.logins)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(s.Close)
	return s
}

func dial(t *testing.T, servers ...*server) *httplink.Link {
	t.Helper()
	o := httplink.Options{
		Identity: `{"mac":"1"}`, Key: ed25519.NewKeyFromSeed(make([]byte, 32)), Token: "welcome", Idle: 300 * time.Millisecond,
		Now: func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) },
	}
	for _, s := range servers {
		o.Servers = append(o.Servers, s.URL+"/")
	}
	l, err := httplink.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func code(n int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(n) }
}

var report = fleet.Report{Type: "bench", Provides: map[string]string{"artifact_name": "fw-1"}}

// TestLogin: the body is signed with the key that it names.
func TestLogin(t *testing.T) {
	s := newServer(t)
	s.answers[menderapi.AuthPath] = func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		req, err := menderapi.ParseAuthRequest(body)
		if err != nil {
			t.Error(err)
		}
		key, err := menderapi.ParseKey(req.Key)
		if err != nil {
			t.Error(err)
		} else if err := key.Verify(body, r.Header.Get("X-MEN-Signature")); err != nil {
			t.Error(err)
		}
		if req.TenantToken != "welcome" || req.Identity != `{"mac":"1"}` {
			t.Errorf("asked as %+v", req)
		}
		fmt.Fprint(w, "token\n")
	}
	if err := dial(t, s).Authenticate(t.Context()); err != nil {
		t.Error(err)
	}
	s.answers[menderapi.AuthPath] = code(401)
	if err := dial(t, s).Authenticate(t.Context()); !errors.Is(err, link.ErrUnauthorized) {
		t.Errorf("turned away with %v", err)
	}
}

// TestTokenIsRenewedOnce: a 401 costs one login and one repetition.
func TestTokenIsRenewedOnce(t *testing.T) {
	s := newServer(t)
	good := "Bearer token-number-2"
	s.answers[menderapi.NextPath] = func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != good {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
	l := dial(t, s)
	if err := l.Authenticate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if offer, err := l.Next(t.Context(), report); err != nil || offer.Deployment != "" {
		t.Errorf("Next() = %+v, %v", offer, err)
	}
	good = "never"
	if _, err := l.Next(t.Context(), report); !errors.Is(err, link.ErrUnauthorized) {
		t.Errorf("Next() = %v", err)
	}
	if s.logins != 3 {
		t.Errorf("%d logins, want 3", s.logins)
	}
}

func TestFallsBackToV1(t *testing.T) {
	s := newServer(t)
	s.answers[menderapi.NextPath] = code(404)
	s.answers[menderapi.NextV1Path] = func(w http.ResponseWriter, r *http.Request) {
		if q := r.URL.Query(); q.Get("artifact_name") != "fw-1" || q.Get("device_type") != "bench" {
			t.Errorf("asked %q", r.URL.RawQuery)
		}
		fmt.Fprint(w, `{"id":"d1","artifact":{"artifact_name":"fw-2","source":{"uri":"http://x/1"},"device_types_compatible":["bench"]}}`)
	}
	offer, err := dial(t, s).Next(t.Context(), report)
	if err != nil || offer.Deployment != "d1" || offer.Artifact != "fw-2" || offer.URI != "http://x/1" {
		t.Errorf("Next() = %+v, %v", offer, err)
	}
}

// TestAnswers maps codes to what the engine knows.
func TestAnswers(t *testing.T) {
	busy := new(link.BusyError)
	tests := []struct {
		code  int
		after string
		want  error
		wait  time.Duration
	}{
		{204, "", nil, 0}, {200, "", nil, 0},
		{409, "", link.ErrCanceled, 0}, {404, "", link.ErrNotFound, 0}, {413, "", link.ErrTooLarge, 0},
		{429, "17", busy, 17 * time.Second}, {503, "17", busy, 17 * time.Second},
		{429, "Thu, 01 Jan 2026 00:01:00 GMT", busy, time.Minute}, {429, "Mon, 01 Jan 2024 00:00:00 GMT", busy, 0},
		{429, "99999999", busy, 24 * time.Hour},
	}
	for _, tt := range tests {
		s := newServer(t)
		s.answers[menderapi.StatusPath("d1")] = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", tt.after)
			w.WriteHeader(tt.code)
		}
		err := dial(t, s).Progress(t.Context(), fleet.Progress{Deployment: "d1", State: deployment.Trying})
		got := new(link.BusyError)
		if isBusy := errors.As(err, &got); isBusy != (tt.want == error(busy)) || isBusy && got.After != tt.wait {
			t.Errorf("%d, Retry-After %q: %v", tt.code, tt.after, err)
		} else if !isBusy && !errors.Is(err, tt.want) {
			t.Errorf("%d: %v, want %v", tt.code, err, tt.want)
		}
	}
}

// TestNextServer: a server that is gone is passed over, and not asked first
// again.
func TestNextServer(t *testing.T) {
	gone, here := newServer(t), newServer(t)
	l := dial(t, gone, here)
	gone.Close()
	for range 2 {
		if _, err := l.Next(t.Context(), report); err != nil {
			t.Fatal(err)
		}
	}
	if here.logins != 1 {
		t.Errorf("%d logins at the second server, want 1", here.logins)
	}
}

func TestHugeAnswerIsCut(t *testing.T) {
	s := newServer(t)
	s.answers[menderapi.NextPath] = func(w http.ResponseWriter, _ *http.Request) {
		for range 1 << 10 {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
	}
	if _, err := dial(t, s).Next(t.Context(), report); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("Next() = %v", err)
	}
}

func TestInventoryByPatch(t *testing.T) {
	s := newServer(t)
	s.answers[menderapi.InventoryPath] = func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			w.WriteHeader(http.StatusMethodNotAllowed)
		}
	}
	if err := dial(t, s).Describe(t.Context(), inventory.Attributes{"kernel": "6"}); err != nil {
		t.Error(err)
	}
}

func TestOpen(t *testing.T) {
	content := strings.Repeat("artifact", 1000)
	s := newServer(t)
	serve := func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the token was sent with a download")
		}
		w.Header().Set("ETag", `"v1"`)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content))
	}
	s.answers["/artifact"] = serve
	s.answers["/noranges"] = func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, content) }
	s.answers["/elsewhere"] = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", "bytes 3-7999/8000")
		w.WriteHeader(http.StatusPartialContent)
	}
	s.answers["/gone"], s.answers["/expired"] = code(410), code(403)
	s.answers["/hangs"] = func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "some")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
	l := dial(t, s)
	for path, offset := range map[string]int64{"/artifact": 0, "/artifact?from=7": 7, "/noranges": 5} {
		stream, err := l.Open(t.Context(), s.URL+path, offset)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(stream.Body)
		stream.Body.Close()
		if err != nil || string(got) != content[offset:] || stream.Total != 8000 && path != "/noranges" {
			t.Errorf("%s: %d bytes of %d, %v", path, len(got), stream.Total, err)
		}
	}
	for path, want := range map[string]error{"/gone": link.ErrExpired, "/expired": link.ErrExpired, "/artifact": link.ErrChanged} {
		if _, err := l.Open(t.Context(), s.URL+path, 9000); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
	if _, err := l.Open(t.Context(), s.URL+"/elsewhere", 5); err == nil {
		t.Error("took a range that was not asked for")
	}
	if _, err := l.Open(t.Context(), "file:///etc/passwd", 0); err == nil {
		t.Error("opened a file")
	}
	stream, err := l.Open(t.Context(), s.URL+"/hangs", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	if _, err := io.ReadAll(stream.Body); err == nil {
		t.Error("a download that stands still did not end")
	}
}

func TestBadOptions(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	for _, address := range []string{"", "ftp://x", "https://", "https://x/?q", "://"} {
		if _, err := httplink.New(httplink.Options{Servers: []string{address}, Key: key}); err == nil {
			t.Errorf("took %q for a server", address)
		}
	}
	if _, err := httplink.New(httplink.Options{Key: key}); err == nil {
		t.Error("took no server at all")
	}
}
