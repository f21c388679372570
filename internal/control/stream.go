package control

import (
	"context"
	"fmt"
	"io"
)

// A limitReader reads up to limit bytes, and remembers an error that is not
// the end: it is the sender's, not the artifact's.
type limitReader struct {
	r        io.Reader
	n, limit int64
	ctx      context.Context
	err      error
}

func (l *limitReader) Read(p []byte) (int, error) {
	if l.err != nil {
		return 0, l.err
	}
	if l.err = l.ctx.Err(); l.err != nil {
		return 0, l.err
	}
	n, err := l.r.Read(p)
	if l.n -= int64(n); l.n < 0 {
		l.err = fmt.Errorf("%w: it is larger than the limit of %d bytes", ErrRefused, l.limit)
		return 0, l.err
	}
	if err != nil && err != io.EOF {
		l.err = fmt.Errorf("read upload: %w", err)
		return n, l.err
	}
	return n, err
}

// A teeReader writes what it reads to w, and remembers an error of w.
type teeReader struct {
	r   io.Reader
	w   io.Writer
	err error
}

func (t *teeReader) Read(p []byte) (int, error) {
	if t.err != nil {
		return 0, t.err
	}
	n, err := t.r.Read(p)
	if n > 0 {
		if _, t.err = t.w.Write(p[:n]); t.err != nil {
			return 0, t.err
		}
	}
	return n, err
}
