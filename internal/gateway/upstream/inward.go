package upstream

import (
	"io"
	"net/http"
	"strconv"
	"sync"
)

// Inside is the address of the proxy for a program's own agents.
const Inside = "http://gateway.internal"

const insideHost = "inside" // in the place of a remote address

// Inward serves a program's own agents as if they were on the LAN, without a
// socket: at Inside. Other addresses are reached as they are.
func (p *Proxy) Inward() http.RoundTripper { return inward{p} }

type inward struct{ p *Proxy }

// RoundTrip returns with the head of the answer; its body is read as it is
// written.
func (i inward) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme+"://"+r.URL.Host != Inside {
		return i.p.Transport.RoundTrip(r)
	}
	served := r.Clone(r.Context())
	served.Host, served.RequestURI, served.RemoteAddr = r.URL.Host, r.URL.RequestURI(), insideHost
	if served.Body == nil {
		served.Body = http.NoBody
	}
	body, out := io.Pipe()
	w := &pipe{out: out, header: http.Header{}, head: make(chan struct{})}
	go func() {
		i.p.ServeHTTP(w, served)
		w.WriteHeader(http.StatusOK)
		out.Close()
		served.Body.Close()
	}()
	select {
	case <-w.head:
	case <-r.Context().Done():
		body.CloseWithError(r.Context().Err())
		return nil, r.Context().Err()
	}
	return &http.Response{
		StatusCode: w.status, Status: http.StatusText(w.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, Body: body, ContentLength: length(w.sent), Request: r,
	}, nil
}

// A pipe is a response on its way to a reader in this program.
type pipe struct {
	out    *io.PipeWriter
	header http.Header
	sent   http.Header // header when the head was written
	status int
	head   chan struct{}
	once   sync.Once
}

func (w *pipe) Header() http.Header { return w.header }

func (w *pipe) WriteHeader(status int) {
	w.once.Do(func() {
		w.status, w.sent = status, w.header.Clone()
		close(w.head)
	})
}

func (w *pipe) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.out.Write(p)
}

// length is what the head says, -1 for nothing.
func length(h http.Header) int64 {
	n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64)
	if err != nil {
		return -1
	}
	return n
}
