package mender

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/wire/menderapi"
)

// maxKept bounds the buffers that wait for the next request, in bytes.
const maxKept = 64 << 10

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// withBody reads a body of at most limit bytes and lends it to use, which
// must not keep it. A Content-Length is not needed.
func withBody(w http.ResponseWriter, r *http.Request, limit int64, use func(body []byte) error) error {
	if r.ContentLength > limit {
		w.Header().Set("Connection", "close") // do not read on
		return fmt.Errorf("read request: %w: %d bytes, at most %d", fleet.ErrTooLarge, r.ContentLength, limit)
	}
	b := buffers.Get().(*bytes.Buffer)
	defer release(b)
	if _, err := b.ReadFrom(http.MaxBytesReader(w, r.Body, limit)); err != nil {
		return bodyError(err, limit)
	}
	return use(b.Bytes())
}

func release(b *bytes.Buffer) {
	if b.Cap() <= maxKept {
		b.Reset()
		buffers.Put(b)
	}
}

func bodyError(err error, limit int64) error {
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return fmt.Errorf("read request: %w: more than %d bytes", fleet.ErrTooLarge, limit)
	}
	return fmt.Errorf("read request: %w: %w", menderapi.ErrSyntax, err)
}
