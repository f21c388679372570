// Package fetch reads one file from a web server and goes on where a broken
// link left off. It is made for a boot loader whose size counts: HTTP/1.1 GET
// over TCP, addresses in digits, no names, no TLS, no redirects. So whoever is
// on the way can read the file and change it; its reader must know a file that
// is genuine.
package fetch

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"time"
)

// A Conn is a connection to a server. net.Conn is one.
type Conn interface {
	io.ReadWriteCloser
	SetDeadline(time.Time) error
}

// Options of a Reader. Dial and Most are needed.
type Options struct {
	Dial     func(to Addr, patience time.Duration) (Conn, error)
	Most     int64               // bytes that the file may have
	Patience time.Duration       // without a byte, then the link counts as broken; 0 means 30 s
	Outage   int                 // links in a row that brought nothing; 0 means 8
	Pause    func(time.Duration) // between links; nil means time.Sleep
	Say      func(error)         // is told why a link broke; nil: nobody is
}

// A Reader reads the file from its start to its end, over as many connections
// as it takes. Close it.
type Reader struct {
	at     address
	o      Options
	conn   Conn
	in     *bufio.Reader // of conn; nil between connections
	off    int64         // bytes that were read
	size   int64         // of the file; -1: not known yet
	barren int           // connections in a row that brought nothing
}

// Open makes a Reader for a URL. It connects at the first Read.
func Open(url string, o Options) (*Reader, error) {
	at, err := parse(url)
	if err != nil {
		return nil, err
	}
	if o.Patience == 0 {
		o.Patience = 30 * time.Second
	}
	if o.Outage == 0 {
		o.Outage = 8
	}
	if o.Pause == nil {
		o.Pause = time.Sleep
	}
	if o.Say == nil {
		o.Say = func(error) {}
	}
	return &Reader{at: at, o: o, size: -1}, nil
}

// An answerError is a server's word that asking again will not change.
type answerError struct{ err error }

func (e answerError) Error() string { return e.err.Error() }
func (e answerError) Unwrap() error { return e.err }

// Read returns io.EOF only at the end of the file, and another error only when
// the server refuses, or after Outage links in a row that brought nothing.
func (r *Reader) Read(p []byte) (int, error) {
	for r.size < 0 || r.off < r.size {
		n, err := r.read(p)
		r.off += int64(n)
		if n > 0 {
			r.barren = 0
		}
		if errors.Is(err, io.EOF) { // of a connection, which is not that of the file
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			r.hangUp()
			if err := r.rest(err); err != nil {
				return n, err
			}
		}
		if n > 0 || len(p) == 0 {
			return n, nil
		}
	}
	return 0, io.EOF
}

// read reads from the connection there is, or makes one.
func (r *Reader) read(p []byte) (int, error) {
	if r.in == nil {
		if err := r.connect(); err != nil {
			return 0, err
		}
	}
	if r.off == r.size { // an empty file
		return 0, nil
	}
	return r.in.Read(p[:min(int64(len(p)), r.size-r.off)])
}

// rest waits after a broken link: longer each time that nothing came.
func (r *Reader) rest(err error) error {
	if answer := new(answerError); errors.As(err, answer) {
		return fmt.Errorf("fetch %v: %w", r.at, err)
	}
	if r.barren++; r.barren >= r.o.Outage {
		return fmt.Errorf("fetch %v: %d connections in a row brought nothing: %w", r.at, r.barren, err)
	}
	pause := min(time.Second<<min(r.barren-1, 8), time.Minute)
	r.o.Say(fmt.Errorf("fetch %v: %w; %d bytes so far, once more in %v", r.at, err, r.off, pause))
	r.o.Pause(pause)
	return nil
}

func (r *Reader) hangUp() {
	if r.conn != nil {
		r.conn.Close()
	}
	r.conn, r.in = nil, nil
}

// Close closes the connection.
func (r *Reader) Close() error {
	r.hangUp()
	return nil
}

// Size returns the length of the file in bytes, and -1 before the first Read.
func (r *Reader) Size() int64 { return r.size }

// patient sets a new deadline before each read and write.
type patient struct {
	Conn
	patience time.Duration
}

func (p patient) Read(b []byte) (int, error) {
	if err := p.SetDeadline(time.Now().Add(p.patience)); err != nil {
		return 0, err
	}
	return p.Conn.Read(b)
}

func (p patient) Write(b []byte) (int, error) {
	if err := p.SetDeadline(time.Now().Add(p.patience)); err != nil {
		return 0, err
	}
	return p.Conn.Write(b)
}
