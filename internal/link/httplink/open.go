package httplink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moult-ota/moult/internal/link"
)

// errIdle ends a download that stands still.
var errIdle = errors.New("no byte came for too long")

// Open asks for the artifact from offset on. The address carries its own
// permission; the token stays here.
func (l *Link) Open(ctx context.Context, uri string, offset int64) (link.Stream, error) {
	u, err := l.resolve(uri)
	if err != nil {
		return link.Stream{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	body := &watched{idle: l.o.Idle, cancel: cancel, timer: time.AfterFunc(l.o.Idle, func() { cancel(errIdle) })}
	s, err := l.open(ctx, u, offset, body)
	if err != nil {
		if cause := context.Cause(ctx); errors.Is(cause, errIdle) {
			err = cause
		}
		body.Close()
		return link.Stream{}, fmt.Errorf("open artifact: %w", err)
	}
	body.timer.Stop()
	return s, nil
}

// resolve takes addresses that are relative to the server, too.
func (l *Link) resolve(uri string) (string, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return "", fmt.Errorf("open artifact: %w", err)
	}
	if len(l.servers) > 0 {
		u = l.servers[l.current].ResolveReference(u)
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("open artifact: address with scheme %q", u.Scheme)
	}
	return u.String(), nil
}

func (l *Link) open(ctx context.Context, uri string, offset int64, body *watched) (link.Stream, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return link.Stream{}, err
	}
	r.Header.Set("Accept-Encoding", "identity") // ranges count the bytes as stored
	if offset > 0 {
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	resp, err := l.client.Do(r)
	if err != nil {
		return link.Stream{}, err
	}
	body.ReadCloser = resp.Body
	s := link.Stream{Body: body, Tag: tag(resp.Header)}
	if s.Total, err = l.place(resp, offset); err != nil {
		return link.Stream{}, err
	}
	if resp.StatusCode == http.StatusOK && offset > 0 { // no ranges here: read over it
		if _, err := io.CopyN(io.Discard, body, offset); err != nil {
			return link.Stream{}, err
		}
	}
	return s, nil
}

// place checks that the body begins where it should, or at the beginning, and
// returns the length of the whole.
func (l *Link) place(resp *http.Response, offset int64) (total int64, err error) {
	switch resp.StatusCode {
	case http.StatusOK:
		return resp.ContentLength, nil
	case http.StatusPartialContent:
		first, total, err := parseContentRange(resp.Header.Get("Content-Range"))
		if err == nil && first != offset {
			err = fmt.Errorf("asked for bytes from %d, got them from %d", offset, first)
		}
		return total, err
	case http.StatusForbidden, http.StatusNotFound, http.StatusGone:
		return 0, fmt.Errorf("%w: server answered %d", link.ErrExpired, resp.StatusCode)
	case http.StatusRequestedRangeNotSatisfiable:
		return 0, fmt.Errorf("%w: it has no byte %d", link.ErrChanged, offset)
	}
	return 0, answer{code: resp.StatusCode, after: l.retryAfter(resp.Header)}.err()
}

// parseContentRange reads "bytes FIRST-LAST/TOTAL" (RFC 9110 §14.4).
func parseContentRange(text string) (first, total int64, err error) {
	text, ok := strings.CutPrefix(text, "bytes ")
	span, all, ok2 := strings.Cut(text, "/")
	from, last, ok3 := strings.Cut(span, "-")
	first, err1 := strconv.ParseInt(from, 10, 64)
	end, err2 := strconv.ParseInt(last, 10, 64)
	total, err3 := int64(-1), error(nil)
	if all != "*" {
		total, err3 = strconv.ParseInt(all, 10, 64)
	}
	if !ok || !ok2 || !ok3 || err1 != nil || err2 != nil || err3 != nil || first > end || all != "*" && end != total-1 {
		return 0, 0, fmt.Errorf("server sent Content-Range %.64q", text)
	}
	return first, total, nil
}

func tag(h http.Header) string {
	if t := h.Get("ETag"); t != "" {
		return t
	}
	return h.Get("Last-Modified")
}

// watched is a body that is given up when nothing comes.
type watched struct {
	io.ReadCloser
	idle   time.Duration
	timer  *time.Timer
	cancel context.CancelCauseFunc
	once   sync.Once
}

func (w *watched) Read(p []byte) (int, error) {
	w.timer.Reset(w.idle)
	defer w.timer.Stop() // a slow disk is no slow line
	return w.ReadCloser.Read(p)
}

func (w *watched) Close() error {
	var err error
	w.once.Do(func() {
		w.timer.Stop()
		w.cancel(nil)
		if w.ReadCloser != nil {
			err = w.ReadCloser.Close()
		}
	})
	return err
}
