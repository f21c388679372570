package sbl

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/sbl/fetch"
)

// TestShown fails when the console hears nothing of a download, or is flooded.
func TestShown(t *testing.T) {
	file := bytes.Repeat([]byte("image"), 200_000)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(file))
	}))
	defer s.Close()
	f := must[*fetch.Reader](t)(fetch.Open(s.URL, fetch.Options{Most: 1 << 20, Dial: func(to fetch.Addr, patience time.Duration) (fetch.Conn, error) {
		return net.DialTimeout("tcp", to.String(), patience)
	}}))
	defer f.Close()
	var said strings.Builder
	got, err := io.ReadAll(&shown{f, &said, 0, 0})
	if err != nil || !bytes.Equal(got, file) {
		t.Errorf("got %d bytes of %d, %v", len(got), len(file), err)
	}
	text := said.String()
	if n := strings.Count(text, "\n"); n > 10 || n < 5 || !strings.HasSuffix(text, "moult-sbl: 100% of 1000000 bytes\n") {
		t.Errorf("the console heard\n%s", text)
	}
}
