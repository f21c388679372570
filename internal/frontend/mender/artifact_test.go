package mender

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/wire/menderapi"
)

// offered is a world with a device that was offered size bytes.
func offered(t *testing.T, size int) (w *world, link string, file []byte) {
	t.Helper()
	w = newWorld(t, Options{})
	id, auth := w.join(t, testIdentity)
	file, _ = w.fleet.Publish("rel-2", "dev", size)
	if _, err := w.fleet.Deploy("rel-2", id); err != nil {
		t.Fatal(err)
	}
	_, text := w.send(t, "POST", menderapi.NextPath, auth, `{"device_provides":{"device_type":"dev"}}`)
	reply, err := menderapi.ParseNextReply([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return w, strings.TrimPrefix(reply.URI, w.url), file
}

func TestArtifactRanges(t *testing.T) {
	w, link, file := offered(t, 10_000)
	full, _ := w.send(t, "GET", link, "", "")
	tag := full.Header.Get("ETag")
	tests := []struct {
		name, method, header string
		status               int
		contentRange         string
		want                 []byte
	}{
		{"all", "GET", "", 200, "", file},
		{"head", "HEAD", "", 200, "", nil},
		{"from an offset", "GET", "Range: bytes=4000-\r\n", 206, "bytes 4000-9999/10000", file[4000:]},
		{"to an end", "GET", "Range: bytes=4000-4999\r\n", 206, "bytes 4000-4999/10000", file[4000:5000]},
		{"last byte", "GET", "Range: bytes=9999-\r\n", 206, "bytes 9999-9999/10000", file[9999:]},
		{"end beyond", "GET", "Range: bytes=0-999999\r\n", 206, "bytes 0-9999/10000", file},
		{"suffix", "GET", "Range: bytes=-10\r\n", 206, "bytes 9990-9999/10000", file[9990:]},
		{"same file", "GET", "Range: bytes=4000-\r\nIf-Range: " + tag + "\r\n", 206, "bytes 4000-9999/10000", file[4000:]},
		{"another file", "GET", "Range: bytes=4000-\r\nIf-Range: \"x\"\r\n", 200, "", file},
		{"known already", "GET", "If-None-Match: " + tag + "\r\n", 304, "", nil},
		{"behind the end", "GET", "Range: bytes=10000-\r\n", 416, "bytes */10000", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp, text := w.send(t, tt.method, link, tt.header, "")
			if resp.StatusCode != tt.status || resp.Header.Get("Content-Range") != tt.contentRange {
				t.Errorf("answer = %d %q, want %d %q", resp.StatusCode, resp.Header.Get("Content-Range"), tt.status, tt.contentRange)
			}
			if tt.status < 300 {
				checkContent(t, resp, tt.method, text, tt.want, int64(len(file)))
			}
		})
	}
}

func checkContent(t *testing.T, resp *http.Response, method, text string, want []byte, total int64) {
	t.Helper()
	if !bytes.Equal([]byte(text), want) {
		t.Errorf("body = %d bytes, want %d", len(text), len(want))
	}
	length := int64(len(want))
	if method == "HEAD" {
		length = total
	}
	h := resp.Header
	if resp.ContentLength != length || h.Get("Accept-Ranges") != "bytes" || h.Get("Content-Type") != "application/vnd.mender-artifact" ||
		!strings.HasPrefix(h.Get("ETag"), `"`) || h.Get("Last-Modified") != "" {
		t.Errorf("length %d, header %v, want length %d and a strong tag", resp.ContentLength, h, length)
	}
}

// A line that breaks in the middle, again and again, still carries it all.
func TestBrokenDownload(t *testing.T) {
	w, link, file := offered(t, 1<<20)
	var got []byte
	for tries := 0; len(got) < len(file); tries++ {
		if tries > 20 {
			t.Fatalf("%d of %d bytes after %d tries", len(got), len(file), tries)
		}
		req, _ := http.NewRequest("GET", w.url+link, nil)
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", len(got)))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		part, _ := io.ReadAll(io.LimitReader(resp.Body, 100_000))
		resp.Body.Close() // with the rest unread
		got = append(got, part...)
	}
	if !bytes.Equal(got, file) {
		t.Error("the pieces are not the file")
	}
}

func TestForgedLinks(t *testing.T) {
	w, link, _ := offered(t, 100)
	path, query, _ := strings.Cut(link, "?")
	expire, mark, _ := strings.Cut(query, signature)
	tests := map[string]string{
		"no query":            path,
		"no mark":             path + "?" + expire,
		"empty mark":          path + "?" + expire + signature,
		"short mark":          link[:len(link)-1],
		"longer":              link + "A",
		"later":               path + "?expire=9999999999" + signature + mark,
		"other spelling":      path + "?expire=0" + strings.TrimPrefix(expire, "expire=") + signature + mark,
		"another device":      strings.Replace(path, "device-1", "device-2", 1) + "?" + query,
		"another deployment":  strings.Replace(path, "000001/", "000002/", 1) + "?" + query,
		"moved slash":         strings.Replace(path, "000001/device-1", "00000/1device-1", 1) + "?" + query,
		"turned around":       path + "?" + strings.TrimPrefix(signature, "&") + mark + "&" + expire,
		"token in its place":  path + "?" + expire + signature + string(testTokens.seal.append(nil, path+"?"+expire)),
		"neither of them all": "/api/devices/v1/download/x/y",
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			resp, text := w.send(t, "GET", tt, "", "")
			if resp.StatusCode != 403 {
				t.Errorf("GET %s = %d %s, want 403", tt, resp.StatusCode, text)
			}
			checkError(t, name, resp, text)
		})
	}
	if resp, _ := w.send(t, "GET", link, "", ""); resp.StatusCode != 200 {
		t.Errorf("GET of the link itself = %d, want 200", resp.StatusCode)
	}
}

// A link dies with its device's standing.
func TestLinkOfRejectedDevice(t *testing.T) {
	w, link, _ := offered(t, 100)
	w.fleet.Reject(testIdentity)
	if resp, text := w.send(t, "GET", link, "", ""); resp.StatusCode != 403 {
		t.Errorf("GET = %d %s, want 403", resp.StatusCode, text)
	}
}

func TestLinkBase(t *testing.T) {
	forwarded := http.Header{"X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"ota.example.com"}}
	tests := map[string]struct {
		options Options
		tls     bool
		header  http.Header
		want    string
	}{
		"plain":         {Options{}, false, nil, "http://10.0.0.1:80/"},
		"tls":           {Options{}, true, nil, "https://10.0.0.1:80/"},
		"configured":    {Options{BaseURL: "https://u.example/", TrustProxy: true}, false, forwarded, "https://u.example/"},
		"not trusted":   {Options{}, false, forwarded, "http://10.0.0.1:80/"},
		"trusted":       {Options{TrustProxy: true}, false, forwarded, "https://ota.example.com/"},
		"strange proto": {Options{TrustProxy: true}, false, http.Header{"X-Forwarded-Proto": {"ftp"}}, "http://10.0.0.1:80/"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("POST", menderapi.NextPath, nil)
			r.Host, r.Header = "10.0.0.1:80", tt.header
			if tt.tls {
				r.TLS = &tls.ConnectionState{}
			}
			f := &frontEnd{Options: tt.options.withDefaults(), links: newSeal(testSecret, "artifact link")}
			if got := f.link(r, "d", "x", time.Unix(7, 0)); !strings.HasPrefix(got, tt.want+"api/devices/v1/download/d/x?expire=7&") {
				t.Errorf("link = %s, want it to begin with %s", got, tt.want)
			}
		})
	}
}
