package artifact

import (
	"io"
	"sync"
)

const (
	aheadChunk  = 256 << 10 // bytes
	aheadChunks = 8
)

// An ahead reads from another reader in the background, a few chunks in front
// of its own reader.
type ahead struct {
	full    chan chunk  // in order; the last one has an error
	free    chan []byte // to fill again
	stop    chan struct{}
	stopped sync.Once
	now     chunk
	rest    []byte // of now, not yet read
}

type chunk struct {
	b   []byte
	err error
}

func readAhead(r io.Reader) *ahead {
	a := &ahead{full: make(chan chunk, aheadChunks), free: make(chan []byte, aheadChunks), stop: make(chan struct{})}
	for range aheadChunks {
		a.free <- make([]byte, aheadChunk)
	}
	go a.fill(r)
	return a
}

func (a *ahead) fill(r io.Reader) {
	for {
		select {
		case <-a.stop:
			return
		case b := <-a.free:
			n, err := readChunk(r, b)
			a.full <- chunk{b[:n], err} // never blocks: there are as many places as chunks
			if err != nil {
				return
			}
		}
	}
}

// readChunk fills b unless an error, io.EOF included, comes first.
func readChunk(r io.Reader, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var m int
		m, err = r.Read(b[n:])
		n += m
	}
	return n, err
}

func (a *ahead) Read(p []byte) (int, error) {
	for len(a.rest) == 0 {
		if a.now.err != nil {
			return 0, a.now.err
		}
		if a.now.b != nil {
			a.free <- a.now.b[:cap(a.now.b)]
		}
		a.now = <-a.full
		a.rest = a.now.b
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

// close ends the reading as soon as the reader below returns.
func (a *ahead) close() { a.stopped.Do(func() { close(a.stop) }) }
