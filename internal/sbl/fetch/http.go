package fetch

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Limits of what a server may say before the file, in bytes.
const (
	maxHead = 16 << 10 // all of it
	maxURL  = 2 << 10
)

// An address is a URL that was taken apart.
type address struct {
	host string // as in the URL, port included when there is one
	to   Addr
	path string // with the query
}

func (a address) String() string { return "http://" + a.host + a.path }

// parse takes http://ADDRESS[:PORT]/PATH apart.
func parse(url string) (address, error) {
	bad := func(why string) (address, error) {
		return address{}, fmt.Errorf("read URL %q: %s; want http://ADDRESS[:PORT]/PATH with an IPv4 address", url, why)
	}
	rest, ok := strings.CutPrefix(url, "http://")
	if !ok {
		return bad("not http")
	}
	if len(url) > maxURL {
		return bad("too long")
	}
	for _, c := range []byte(url) {
		if c <= ' ' || c >= 0x7f {
			return bad("a character that must be escaped")
		}
	}
	a := address{host: rest, path: "/"}
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		a.host, a.path = rest[:i], rest[i:]
	}
	a.path, _, _ = strings.Cut(a.path, "#")
	if a.to, ok = parseAddr(a.host); !ok {
		return bad("no address in digits")
	}
	return a, nil
}

// connect asks for what is still to come, and leaves r.in where it begins.
func (r *Reader) connect() error {
	c, err := r.o.Dial(r.at.to, r.o.Patience)
	if err != nil {
		return err
	}
	r.conn = c
	p := patient{c, r.o.Patience}
	ask := "GET " + r.at.path + " HTTP/1.1\r\nHost: " + r.at.host + "\r\nUser-Agent: moult-sbl\r\nAccept-Encoding: identity\r\nConnection: close\r\n"
	if r.off > 0 {
		ask += fmt.Sprintf("Range: bytes=%d-\r\n", r.off)
	}
	if _, err := io.WriteString(p, ask+"\r\n"); err != nil {
		return err
	}
	in := bufio.NewReaderSize(p, 64<<10)
	h, err := readHead(in)
	if err != nil {
		return err
	}
	skip, err := r.place(h)
	if err != nil {
		return err
	}
	if _, err := io.CopyN(io.Discard, in, skip); err != nil {
		return err
	}
	r.in = in
	return nil
}

// place finds out where in the file an answer begins, and returns how much of
// what comes was read before.
func (r *Reader) place(h head) (skip int64, err error) {
	size := int64(-1)
	switch {
	case h.status >= 500, h.status == 408, h.status == 429:
		return 0, fmt.Errorf("the server says %s", h.line)
	case h.status == 200:
		size, skip = h.length, r.off
	case h.status == 206 && r.off > 0:
		_, total, _ := strings.Cut(h.span, "/")
		if size, err = strconv.ParseInt(total, 10, 64); err != nil || h.span != fmt.Sprintf("bytes %d-%d/%d", r.off, size-1, size) {
			return 0, answerError{fmt.Errorf("asked from byte %d on, the server sends %q", r.off, h.span)}
		}
	case h.status >= 300 && h.status < 400:
		return 0, answerError{fmt.Errorf("the server says %s, to %q; no redirect is followed", h.line, h.location)}
	default:
		return 0, answerError{fmt.Errorf("the server says %s", h.line)}
	}
	switch {
	case h.coded != "":
		return 0, answerError{fmt.Errorf("the server sends %s, want a plain file with its Content-Length", h.coded)}
	case size < 0:
		return 0, answerError{errors.New("the server does not say how long the file is")}
	case size > r.o.Most:
		return 0, answerError{fmt.Errorf("file of %d bytes, at most %d", size, r.o.Most)}
	case r.size >= 0 && size != r.size:
		return 0, answerError{fmt.Errorf("the file changed: it had %d bytes and has %d", r.size, size)}
	}
	r.size = size
	return skip, nil
}

// A head is what an answer says before the file.
type head struct {
	status   int
	line     string // "404 Not Found"
	length   int64  // Content-Length; -1: none
	span     string // Content-Range
	coded    string // an encoding that is not understood
	location string
}

var errHead = errors.New("this is no answer of a web server")

// readHead reads up to and including the empty line.
func readHead(in *bufio.Reader) (head, error) {
	h := head{length: -1}
	for n, total := 0, 0; ; n++ {
		raw, err := in.ReadSlice('\n')
		if total += len(raw); total > maxHead || errors.Is(err, bufio.ErrBufferFull) {
			return h, answerError{fmt.Errorf("%w: more than %d bytes before the file", errHead, maxHead)}
		}
		if err != nil {
			return h, err
		}
		line := strings.TrimRight(string(raw), "\r\n")
		switch {
		case n > 0 && line == "":
			return h, nil
		case n == 0:
			err = h.start(line)
		default:
			err = h.field(line)
		}
		if err != nil {
			return h, answerError{err}
		}
	}
}

// start reads "HTTP/1.1 200 OK".
func (h *head) start(line string) (err error) {
	version, rest, _ := strings.Cut(line, " ")
	if !strings.HasPrefix(version, "HTTP/1.") || len(rest) < 3 {
		return fmt.Errorf("%w: it begins with %.40q", errHead, line)
	}
	h.line = printable(rest)
	if h.status, err = strconv.Atoi(rest[:3]); err != nil {
		return fmt.Errorf("%w: status %q", errHead, h.line)
	}
	return nil
}

// field reads "Name: value", where the name is one that matters.
func (h *head) field(line string) (err error) {
	name, value, ok := strings.Cut(line, ":")
	if !ok {
		return fmt.Errorf("%w: line %.40q", errHead, line)
	}
	value = strings.Trim(value, " \t")
	switch strings.ToLower(name) {
	case "content-length":
		n, err := strconv.ParseUint(value, 10, 63)
		if err != nil || h.length >= 0 && h.length != int64(n) {
			return fmt.Errorf("%w: Content-Length %.40q", errHead, value)
		}
		h.length = int64(n)
	case "content-range":
		h.span = printable(value)
	case "location":
		h.location = printable(value)
	case "transfer-encoding", "content-encoding":
		if !strings.EqualFold(value, "identity") {
			h.coded = printable(name + " " + value)
		}
	}
	return nil
}

// printable is text for a console, which a server must not control.
func printable(text string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c >= 0x7f {
			return '?'
		}
		return c
	}, text[:min(len(text), 100)])
}
