package server

import (
	"crypto/rand"
	"io"
	"log/slog"
	"math"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/moult-ota/moult/internal/api"
)

const (
	// bodyTime is how long a request's body may take, unless its handler
	// knows better (an upload does).
	bodyTime = 30 * time.Second
	// writeTime is how long an answer may stand still. The time to read the
	// request does not count: an upload may take hours before its answer.
	writeTime = time.Minute
	// maxRequestID bounds a request id that comes from outside, in bytes.
	maxRequestID = 64
)

var plainID = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// around is what every request passes: an id, deadlines, a line in the log,
// a number in the metrics, and a stop for panics.
func (s *Server) around(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		id := idOf(r)
		w.Header().Set("X-Request-Id", id)
		a := &answer{ResponseWriter: w, rc: http.NewResponseController(w)}
		r = r.WithContext(api.WithRequestID(r.Context(), id))
		limitBody(a, r)
		defer func() {
			if p := recover(); p != nil {
				s.panicked(a, r, p)
			}
			s.record(r, a, time.Since(start))
		}()
		next.ServeHTTP(a, r)
	})
}

func idOf(r *http.Request) string {
	if id := r.Header.Get("X-Request-Id"); id != "" && len(id) <= maxRequestID && plainID.MatchString(id) {
		return id
	}
	return rand.Text()[:16]
}

// limitBody gives a body its time. The deadline goes when the body ends, or
// it would end the connection below a slow handler.
func limitBody(a *answer, r *http.Request) {
	if r.ContentLength == 0 {
		return
	}
	a.rc.SetReadDeadline(time.Now().Add(bodyTime))
	r.Body = &timedBody{r.Body, a.rc}
}

type timedBody struct {
	io.ReadCloser
	rc *http.ResponseController
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF { // after another error net/http reads on, and must not wait
		b.rc.SetReadDeadline(time.Time{})
	}
	return n, err
}

// An answer remembers its status and keeps moving its write deadline: a slow
// reader is served for hours, one that stands still is not.
type answer struct {
	http.ResponseWriter
	rc     *http.ResponseController
	status int
	bytes  int64
	moved  time.Time
}

// Unwrap lets http.ResponseController through.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
	a.extend()
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	a.extend()
	n, err := a.ResponseWriter.Write(p)
	a.wrote(int64(n))
	return n, err
}

// Strides are how much the kernel sends under one deadline, in bytes: small
// on a slow line, which may be as slow as 1.1 kB/s, and large on a fast one.
const (
	minStride = 64 << 10
	maxStride = 4 << 20
)

// nextStride grows while a stride takes less than a second.
func nextStride(stride int64, took time.Duration) int64 {
	if took < time.Second {
		return min(2*stride, maxStride)
	}
	return max(stride/2, minStride)
}

// ReadFrom lets the kernel send files, in strides that fit a deadline. The
// kernel looks through one LimitedReader, so one that comes is taken apart.
func (a *answer) ReadFrom(src io.Reader) (int64, error) {
	left := int64(math.MaxInt64)
	if l, ok := src.(*io.LimitedReader); ok {
		src, left = l.R, l.N
	}
	var total int64
	for stride := int64(minStride); left > 0; {
		a.moved = time.Time{}
		a.extend()
		n, err := io.CopyN(a.ResponseWriter, src, min(left, stride))
		total, left = total+n, left-n
		a.wrote(n)
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
		stride = nextStride(stride, time.Since(a.moved))
	}
	return total, nil
}

func (a *answer) extend() {
	if now := time.Now(); now.Sub(a.moved) > writeTime/10 {
		a.moved = now
		a.rc.SetWriteDeadline(now.Add(writeTime))
	}
}

func (a *answer) wrote(n int64) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	a.bytes += n
}

func (s *Server) panicked(a *answer, r *http.Request, p any) {
	if p == http.ErrAbortHandler {
		panic(p)
	}
	s.log.ErrorContext(r.Context(), "handler panicked", "panic", p, "request_id", api.RequestID(r.Context()), "stack", stack())
	if a.status == 0 {
		api.WriteProblem(a, api.NewProblem(http.StatusInternalServerError, "the server's log says more under this request id"))
	}
}

// record counts a request and logs it: what operators do always, what devices
// do only when somebody debugs or it went wrong.
func (s *Server) record(r *http.Request, a *answer, took time.Duration) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	s.metrics.request(r.Pattern, a.status, took)
	level := slog.LevelDebug
	switch {
	case a.status >= 500:
		level = slog.LevelError
	case strings.HasPrefix(r.URL.Path, api.Prefix):
		level = slog.LevelInfo
	}
	if s.log.Enabled(r.Context(), level) {
		s.log.LogAttrs(r.Context(), level, "request", slog.String("method", r.Method), slog.String("path", r.URL.Path),
			slog.Int("status", a.status), slog.Int64("bytes", a.bytes), slog.Duration("took", took),
			slog.String("from", r.RemoteAddr), slog.String("request_id", api.RequestID(r.Context())))
	}
}
