package httplink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/moult-ota/moult/internal/link"
	"github.com/moult-ota/moult/internal/wire/menderapi"
)

// An answer is what a server said.
type answer struct {
	code  int
	body  []byte
	after time.Duration // Retry-After; 0 when not said
}

// err is nil for success, and else what the code means on every path.
func (a answer) err() error {
	switch {
	case a.code/100 == 2:
		return nil
	case a.code == http.StatusUnauthorized:
		return a.wrap(link.ErrUnauthorized)
	case a.code == http.StatusConflict:
		return a.wrap(link.ErrCanceled)
	case a.code == http.StatusNotFound:
		return a.wrap(link.ErrNotFound)
	case a.code == http.StatusRequestEntityTooLarge:
		return a.wrap(link.ErrTooLarge)
	case a.after > 0, a.code == http.StatusTooManyRequests:
		return &link.BusyError{After: a.after}
	}
	if text := menderapi.ParseError(a.body); text != "" {
		return fmt.Errorf("server answered %d: %.200s", a.code, text)
	}
	return fmt.Errorf("server answered %d %s", a.code, http.StatusText(a.code))
}

func (a answer) wrap(err error) error {
	if text := menderapi.ParseError(a.body); text != "" && text != err.Error() {
		return fmt.Errorf("%w: %.200s", err, text)
	}
	return err
}

// call makes an authenticated exchange. A token that is no longer taken is
// renewed, once.
func (l *Link) call(ctx context.Context, method, path string, body []byte, limit int64) (a answer, err error) {
	err = l.anyServer(func() error {
		fresh := l.token == ""
		if fresh {
			if err := l.authenticate(ctx); err != nil {
				return err
			}
		}
		a, err = l.exchange(ctx, method, path, body, limit, l.authorized)
		if err != nil || a.code != http.StatusUnauthorized || fresh {
			return errors.Join(err, a.fault())
		}
		if err := l.authenticate(ctx); err != nil {
			return err
		}
		a, err = l.exchange(ctx, method, path, body, limit, l.authorized)
		return errors.Join(err, a.fault())
	})
	return a, err
}

// fault is the error of a server that is itself in trouble; another may do
// better.
func (a answer) fault() error {
	if a.code/100 == 5 && a.after == 0 {
		return a.err()
	}
	return nil
}

func (l *Link) authorized(r *http.Request) { r.Header.Set("Authorization", "Bearer "+l.token) }

// authenticate asks the current server for a token.
func (l *Link) authenticate(ctx context.Context) error {
	l.token = ""
	body := menderapi.AuthRequest{Identity: string(l.o.Identity), TenantToken: l.o.Token, Key: l.key}.Append(nil)
	signature, err := menderapi.Sign(l.o.Key, body)
	if err != nil {
		return err
	}
	a, err := l.exchange(ctx, http.MethodPost, menderapi.AuthPath, body, menderapi.MaxTokenBody, func(r *http.Request) {
		r.Header.Set(menderapi.SignatureHeader, signature)
	})
	if err == nil {
		err = a.err()
	}
	if err == nil && len(a.body) == 0 {
		err = fmt.Errorf("%w: the token is empty", menderapi.ErrSyntax)
	}
	if err != nil {
		return fmt.Errorf("authenticate: %w", err)
	}
	l.token = string(bytes.TrimSpace(a.body))
	return nil
}

// exchange sends one request to the current server and reads all of the
// answer, at most limit bytes of it.
func (l *Link) exchange(ctx context.Context, method, path string, body []byte, limit int64, sign func(*http.Request)) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, l.o.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, l.servers[l.current].String()+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if body != nil {
		r.Header.Set("Content-Type", menderapi.JSONType)
	}
	sign(r)
	resp, err := l.client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return answer{}, fmt.Errorf("read answer: %w", err)
	}
	if int64(len(text)) > limit {
		return answer{}, fmt.Errorf("read answer: more than %d bytes", limit)
	}
	return answer{resp.StatusCode, text, l.retryAfter(resp.Header)}, nil
}

// maxAfter is the longest Retry-After that is believed.
const maxAfter = 24 * time.Hour

// retryAfter reads seconds or a date (RFC 9110 §10.2.3).
func (l *Link) retryAfter(h http.Header) time.Duration {
	text := h.Get("Retry-After")
	var after time.Duration
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		after = time.Duration(seconds) * time.Second
	} else if date, err := http.ParseTime(text); err == nil {
		after = date.Sub(l.o.Now())
	}
	return min(max(after, 0), maxAfter)
}
