package mender

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/inventory"
	"github.com/moult-ota/moult/internal/wire/menderapi"
)

var (
	errPath        = errors.New("no such path")
	errNoSignature = errors.New("missing request signature header")
	errToken       = errors.New("missing, forged or expired token")
	errLink        = errors.New("link is forged or expired")
)

// causes says how each error is answered, the first that matches.
var causes = []struct {
	err    error
	status int
}{
	{menderapi.ErrSyntax, http.StatusBadRequest},
	{menderapi.ErrKey, http.StatusBadRequest},
	{device.ErrIdentity, http.StatusBadRequest},
	{inventory.ErrAttribute, http.StatusBadRequest},
	{deployment.ErrState, http.StatusBadRequest},
	{errNoSignature, http.StatusBadRequest},
	{menderapi.ErrSignature, http.StatusUnauthorized},
	{errToken, http.StatusUnauthorized},
	{fleet.ErrPending, http.StatusUnauthorized},
	{fleet.ErrRejected, http.StatusUnauthorized},
	{fleet.ErrUnauthorized, http.StatusUnauthorized},
	{errLink, http.StatusForbidden},
	{errPath, http.StatusNotFound},
	{fleet.ErrNotFound, http.StatusNotFound},
	{fleet.ErrCanceled, http.StatusConflict},
	{deployment.ErrEnded, http.StatusConflict}, // the device is on a way that leads nowhere
	{fleet.ErrTooLarge, http.StatusRequestEntityTooLarge},
	{fleet.ErrBusy, http.StatusTooManyRequests},
}

func statusOf(err error) int {
	for _, c := range causes {
		if errors.Is(err, c.err) {
			return c.status
		}
	}
	return http.StatusInternalServerError
}

// answer gives every answer its request id, and errors their body.
func (f *frontEnd) answer(do action) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := f.ids.next()
		w.Header()[requestIDHeader] = []string{id}
		if err := do(w, r); err != nil {
			f.fail(w, r, id, err)
		}
	})
}

// requestIDHeader is menderapi.RequestIDHeader as net/http keeps it.
var requestIDHeader = http.CanonicalHeaderKey(menderapi.RequestIDHeader)

func (f *frontEnd) fail(w http.ResponseWriter, r *http.Request, id string, err error) {
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		return // the device went away
	}
	status, text := statusOf(err), err.Error()
	if status == http.StatusInternalServerError {
		f.Logger.Error("answer device", "request", id, "method", r.Method, "path", r.URL.Path, "error", err)
		text = "internal error"
	} else {
		f.Logger.Debug("refuse device", "request", id, "path", r.URL.Path, "status", status, "error", err)
	}
	if status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", strconv.Itoa(seconds(f.RetryAfter)))
	}
	w.Header().Set("Content-Type", menderapi.JSONType)
	w.WriteHeader(status)
	w.Write(menderapi.AppendError(nil, text, id))
}

func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// requestIDs count requests behind a prefix that differs from start to start,
// in the shape of a UUID.
type requestIDs struct {
	prefix string
	count  atomic.Uint64
}

func newRequestIDs() *requestIDs {
	var b [10]byte
	rand.Read(b[:])
	h := hex.EncodeToString(b[:])
	return &requestIDs{prefix: h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:] + "-"}
}

func (r *requestIDs) next() string {
	const digits = "0123456789abcdef"
	var b [36]byte
	n := copy(b[:], r.prefix)
	for i, c := len(b)-1, r.count.Add(1); i >= n; i, c = i-1, c>>4 {
		b[i] = digits[c&15]
	}
	return string(b[:])
}
