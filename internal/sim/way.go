package sim

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// A Tamperer is somebody on the way between server and devices: while on, it
// flips one bit of every artifact that passes.
type Tamperer struct {
	http.RoundTripper
	on      atomic.Bool
	flipped atomic.Int64
}

// Set turns it on or off.
func (t *Tamperer) Set(on bool) { t.on.Store(on) }

// Flipped counts the bits.
func (t *Tamperer) Flipped() int64 { return t.flipped.Load() }

// RoundTrip passes a request on, and its answer back, not always as it was.
func (t *Tamperer) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(req)
	if err != nil || !t.on.Load() || !strings.Contains(resp.Header.Get("Content-Type"), "mender-artifact") {
		return resp, err
	}
	start, total := int64(0), resp.ContentLength
	if resp.StatusCode == http.StatusPartialContent {
		var end int64
		if _, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-%d/%d", &start, &end, &total); err != nil {
			return resp, nil
		}
	}
	resp.Body = &tampered{ReadCloser: resp.Body, t: t, left: total/2 - start}
	return resp, nil
}

// tampered flips a bit of the byte at left, once.
type tampered struct {
	io.ReadCloser
	t    *Tamperer
	left int64 // bytes until the flip; negative: it is behind us
}

func (r *tampered) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if r.left >= 0 && r.left < int64(n) {
		p[r.left] ^= 0x10
		r.t.flipped.Add(1)
	}
	r.left -= int64(n)
	return n, err
}

// A Line is one device's way to the network, with a bandwidth.
type Line struct {
	http.RoundTripper
	Rate int64 // bytes a second of an answer's body; 0 is as fast as it goes
}

// RoundTrip passes a request on and slows its answer down.
func (l Line) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := l.RoundTripper.RoundTrip(req)
	if err == nil && l.Rate > 0 {
		resp.Body = &slow{ReadCloser: resp.Body, rate: l.Rate, over: req.Context().Done()}
	}
	return resp, err
}

type slow struct {
	io.ReadCloser
	rate int64
	over <-chan struct{}
}

func (s *slow) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p[:min(len(p), 32<<10)])
	select {
	case <-s.over:
	case <-time.After(time.Duration(int64(n) * int64(time.Second) / s.rate)):
	}
	return n, err
}
