package fetch_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/sbl/fetch"
)

// file is what servers here serve.
var file = bytes.Repeat([]byte("0123456789abcdef"), 40_000)

func dial(to fetch.Addr, patience time.Duration) (fetch.Conn, error) {
	return net.DialTimeout("tcp", to.String(), patience)
}

// pauses counts what a Reader waits, and does not wait.
type pauses []time.Duration

func (p *pauses) wait(d time.Duration) { *p = append(*p, d) }

func get(url string, o fetch.Options) ([]byte, error) {
	if o.Dial == nil {
		o.Dial = dial
	}
	if o.Most == 0 {
		o.Most = 1 << 20
	}
	if o.Pause == nil {
		o.Pause = new(pauses).wait
	}
	r, err := fetch.Open(url, o)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// served is a server of file that notes the ranges that it is asked for.
func served(t *testing.T, ranges *[]string) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*ranges = append(*ranges, r.Header.Get("Range"))
		http.ServeContent(w, r, "file", time.Time{}, bytes.NewReader(file))
	}))
	t.Cleanup(s.Close)
	return s
}

// fragile is a Conn that breaks after some bytes were read.
type fragile struct {
	fetch.Conn
	left int
}

func (f *fragile) Read(p []byte) (int, error) {
	if f.left == 0 {
		return 0, errors.New("connection reset by peer")
	}
	n, err := f.Conn.Read(p[:min(len(p), f.left)])
	f.left -= n
	return n, err
}

// TestResume fails when a byte is lost, doubled or asked for twice over a link
// that breaks again and again.
func TestResume(t *testing.T) {
	for _, ranged := range []bool{true, false} {
		var ranges []string
		s := served(t, &ranges)
		if !ranged {
			s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(file) })
			s.Config.Handler = lengthy(s.Config.Handler)
		}
		links := 0
		o := fetch.Options{Dial: func(to fetch.Addr, patience time.Duration) (fetch.Conn, error) {
			c, err := dial(to, patience)
			links++
			if !ranged { // then a link must bring more than the one before
				return &fragile{c, 100_000 * links}, err
			}
			return &fragile{c, 50_000}, err
		}}
		got, err := get(s.URL+"/file", o)
		if err != nil || !bytes.Equal(got, file) {
			t.Errorf("ranged %v: got %d bytes of %d, %v", ranged, len(got), len(file), err)
		}
		if ranged && (links < 10 || !strings.HasPrefix(ranges[1], "bytes=4") || ranges[0] != "") {
			t.Errorf("%d links asked for %q", links, ranges)
		}
	}
}

// lengthy is a server that says how long the file is and knows no ranges.
func lengthy(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(file)))
		h.ServeHTTP(w, r)
	})
}

// TestOutage fails when a Reader gives up too early, too late, or hammers.
func TestOutage(t *testing.T) {
	var waits pauses
	links := 0
	_, err := get("http://127.0.0.1:9/file", fetch.Options{Outage: 9, Pause: waits.wait,
		Dial: func(fetch.Addr, time.Duration) (fetch.Conn, error) {
			links++
			return nil, errors.New("no route to host")
		}})
	if err == nil || links != 9 || !strings.Contains(err.Error(), "9 connections in a row brought nothing: no route to host") {
		t.Errorf("after %d links: %v", links, err)
	}
	if got, want := fmt.Sprint(waits), "[1s 2s 4s 8s 16s 32s 1m0s 1m0s]"; got != want {
		t.Errorf("it waited %s, want %s", got, want)
	}
	var busy atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if busy.Add(1) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "late")
	}))
	defer s.Close()
	if got, err := get(s.URL, fetch.Options{}); string(got) != "late" || err != nil {
		t.Errorf("from a server that was busy: %q, %v", got, err)
	}
}

// raw is a server that answers every connection with a text, then is silent
// or hangs up.
func raw(t *testing.T, text string, silent bool) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, text)
			if !silent {
				c.Close()
			}
		}
	}()
	return "http://" + l.Addr().String() + "/"
}

// TestRefuses fails when an answer passes for a file that is none, or when an
// error passes for its end.
func TestRefuses(t *testing.T) {
	tests := []struct {
		name, answer string
		silent       bool
		want         string
	}{
		{"nothing", "", false, "brought nothing: unexpected EOF"},
		{"silence", "", true, "brought nothing: "},
		{"no web server", "220 mail.example ESMTP\r\n", false, "no answer of a web server"},
		{"half a head", "HTTP/1.1 200 OK\r\nContent-Le", false, "unexpected EOF"},
		{"endless line", "HTTP/1.1 200 " + strings.Repeat("x", 100<<10), true, "more than 16384 bytes before the file"},
		{"endless head", "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 10_000), true, "more than 16384 bytes before the file"},
		{"not found", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", false, "says 404 Not Found"},
		{"escape codes", "HTTP/1.1 404 \x1b[2J\r\nContent-Length: 0\r\n\r\n", false, "says 404 ?[2J"},
		{"redirect", "HTTP/1.1 302 Found\r\nLocation: https://x/\r\n\r\n", false, `to "https://x/"; no redirect is followed`},
		{"no length", "HTTP/1.1 200 OK\r\n\r\nimage", false, "does not say how long"},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nimage\r\n0\r\n\r\n", false, "sends Transfer-Encoding chunked"},
		{"packed", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nimage", false, "sends Content-Encoding gzip"},
		{"negative", "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nimage", false, `Content-Length "-5"`},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nimage", false, `Content-Length "6"`},
		{"too large", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", false, "99 bytes, at most 9"},
		{"a part that was not asked for", "HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\nContent-Range: bytes 0-4/5\r\n\r\nimage", false, "says 206"},
		{"breaks off", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nimage", false, "unexpected EOF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := fetch.Options{Most: 9, Outage: 2, Patience: 10 * time.Second}
			if tt.name == "silence" {
				o.Patience = 20 * time.Millisecond
			}
			got, err := get(raw(t, tt.answer, tt.silent), o)
			if err == nil || !strings.Contains(err.Error(), tt.want) || errors.Is(err, io.EOF) {
				t.Errorf("got %q, %v, want an error with %q", got, err, tt.want)
			}
		})
	}
}

// TestChanged fails when parts of two files pass for one.
func TestChanged(t *testing.T) {
	second := []string{
		"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 4-6/7\r\n\r\nge!",
		"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 5-7/8\r\n\r\nge!",
		"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 5-5/7\r\n\r\ng",
		"HTTP/1.1 206 Partial Content\r\n\r\nge!",
		"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nimages!!",
	}
	for _, answer := range second {
		links := 0
		at := []string{raw(t, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nimage", false), raw(t, answer, false)}
		o := fetch.Options{Dial: func(fetch.Addr, time.Duration) (fetch.Conn, error) {
			links++
			return net.Dial("tcp", strings.Trim(at[min(links, 2)-1], "htp:/"))
		}}
		if got, err := get(at[0], o); err == nil || links != 2 {
			t.Errorf("after %d links to a server that then says %q: got %q, nil, want an error", links, answer, got)
		}
	}
}

// TestSlow fails when a link that brings something now and then counts as
// broken.
func TestSlow(t *testing.T) {
	s := httptest.NewServer(lengthy(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for part := range slices.Chunk(file, len(file)/8) {
			_, _ = w.Write(part)
			_ = http.NewResponseController(w).Flush()
			time.Sleep(150 * time.Millisecond)
		}
	})))
	defer s.Close()
	if got, err := get(s.URL, fetch.Options{Patience: time.Second, Outage: 1}); err != nil || !bytes.Equal(got, file) {
		t.Errorf("got %d bytes of %d, %v", len(got), len(file), err)
	}
}

func TestURLs(t *testing.T) {
	for _, url := range []string{"", "10.0.2.2/x", "https://10.0.2.2/x", "http://", "http://gateway/x", "http://[::1]/x", "http://10.0.2.2:0/x",
		"http://10.0.2.2:99999/x", "http://10.0.2.2/a b", "http://10.0.2.2/\r\nX: y", "http://u@10.0.2.2/", "http://010.0.2.2/", "http://10.0.2/", "http://10.0.2.256/", "http://10.0.2.2:/", "http://10.0.2.2:80:80/", "http://10.0.2.2/" + strings.Repeat("x", 3000)} {
		if _, err := fetch.Open(url, fetch.Options{}); err == nil {
			t.Errorf("Open(%.40q) = nil, want an error", url)
		}
	}
	var asked string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked = r.Host + r.RequestURI }))
	defer s.Close()
	if _, err := get(s.URL+"/a/b?c=d#e", fetch.Options{}); err != nil || asked != s.Listener.Addr().String()+"/a/b?c=d" {
		t.Errorf("asked for %q, %v", asked, err)
	}
}
