package fetch_test

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/sbl/fetch"
)

// scripted is a connection on which a server says one thing.
type scripted struct{ *bytes.Reader }

func (scripted) Write(p []byte) (int, error) { return len(p), nil }
func (scripted) Close() error                { return nil }
func (scripted) SetDeadline(time.Time) error { return nil }

// FuzzAnswer fails when what a server says makes a reader crash, take more
// than it may, or pass over a file's missing end.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nimage"), []byte("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 3-4/5\r\n\r\nge"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nima"), []byte("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 3-4/5\r\n\r\nge"))
	f.Add([]byte("HTTP/1.0 200\nContent-Length:0\n\n"), []byte("HTTP/1.1 302 Found\r\nLocation: x\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"), []byte("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"))
	f.Fuzz(func(t *testing.T, first, then []byte) {
		links := 0
		r, err := fetch.Open("http://10.0.2.2/x", fetch.Options{Most: 100, Outage: 2, Pause: func(time.Duration) {},
			Dial: func(fetch.Addr, time.Duration) (fetch.Conn, error) {
				links++
				if links == 1 {
					return scripted{bytes.NewReader(first)}, nil
				}
				return scripted{bytes.NewReader(then)}, nil
			}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if len(got) > 100 || err == nil && int64(len(got)) != r.Size() || links > 200 {
			t.Errorf("got %d bytes of %d, %v, over %d links", len(got), r.Size(), err, links)
		}
	})
}
