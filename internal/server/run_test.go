package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/api/client"
	"github.com/moult-ota/moult/internal/server"
	"github.com/moult-ota/moult/internal/server/servertest"
)

func get(t *testing.T, address string, header ...string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body), resp.Header
}

func TestHealth(t *testing.T) {
	w := servertest.Start(t)
	for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": "ok\n", "/version": `"api":"v1"`, "/metrics": "moult_build{"} {
		if status, body, _ := get(t, w.Server+path); status != 200 || !strings.Contains(body, want) {
			t.Errorf("GET %s = %d %.200s, want %q", path, status, body, want)
		}
	}
	if status, body, _ := get(t, w.Server+"/nothing"); status != 404 || !strings.Contains(body, "not_found") {
		t.Errorf("GET /nothing = %d %s", status, body)
	}
}

func TestMetricsCount(t *testing.T) {
	w := servertest.Start(t)
	w.Accepted("a")
	_, body, _ := get(t, w.Server+"/metrics")
	for _, want := range []string{
		`moult_devices{status="accepted"} 1`,
		`moult_http_requests_total{route="PUT /api/v1/devices/{id}/status",status="2xx"} 1`,
		`moult_http_requests_total{route="POST /api/devices/v1/authentication/auth_requests",status="4xx"} 1`,
	} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("metrics lack %s", want)
		}
	}
	if strings.Contains(body, w.ID("a")) {
		t.Error("metrics name a device; labels must be bounded")
	}
}

func TestMetricsNeedAToken(t *testing.T) {
	w := servertest.Start(t, func(o *server.Options) { o.Metrics = "token" })
	if status, body, h := get(t, w.Server+"/metrics"); status != 401 || h.Get("WWW-Authenticate") == "" || strings.Contains(body, "moult_build") {
		t.Errorf("metrics without a token = %d %.100s", status, body)
	}
	if status, _, _ := get(t, w.Server+"/metrics", "Authorization", "Bearer "+w.As("read").Token); status != 200 {
		t.Errorf("metrics with a token = %d", status)
	}
}

func TestRequestID(t *testing.T) {
	w := servertest.Start(t)
	if _, _, h := get(t, w.Server+"/healthz", "X-Request-Id", "ours-1"); h.Get("X-Request-Id") != "ours-1" {
		t.Errorf("request id = %q, want ours-1", h.Get("X-Request-Id"))
	}
	for name, bad := range map[string]string{"long": strings.Repeat("a", 65), "odd": "a b\"c", "none": ""} {
		if _, _, h := get(t, w.Server+"/healthz", "X-Request-Id", bad); h.Get("X-Request-Id") == bad || len(h.Get("X-Request-Id")) != 16 {
			t.Errorf("%s request id %q became %q, want a new one", name, bad, h.Get("X-Request-Id"))
		}
	}
}

func TestSetupLinkMakesAnOperator(t *testing.T) {
	w := servertest.Start(t)
	link, err := url.Parse(w.Setup)
	if err != nil {
		t.Fatal(err)
	}
	if status, body, h := get(t, w.Server+link.RequestURI()); status != 200 || !strings.Contains(body, "<form") || h.Get("Cache-Control") != "no-store" {
		t.Fatalf("GET of the link = %d %s", status, body)
	}
	resp, err := http.PostForm(w.Server+"/setup", link.Query())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	token, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	who, err := (&client.Client{Server: w.Server, Token: strings.TrimSpace(string(token))}).Whoami(t.Context())
	if err != nil || who.Scopes[0] != "admin" {
		t.Errorf("Whoami with the link's token = %+v, %v", who, err)
	}
	if status, _, _ := get(t, w.Server+link.RequestURI()); status != http.StatusGone {
		t.Errorf("GET of the used link = %d, want 410", status)
	}
}

// TestStopFinishesRequests stops the server in the middle of an upload.
func TestStopFinishesRequests(t *testing.T) {
	w := servertest.Start(t)
	file := servertest.Artifact(t, "r1", "rpi", bytes.Repeat([]byte("x"), 1<<20))
	body, rest := io.Pipe()
	type result struct {
		a   client.Artifact
		err error
	}
	uploaded := make(chan result, 1)
	go func() {
		a, err := w.UploadArtifact(context.Background(), body, client.UploadArtifactParams{})
		uploaded <- result{a, err}
	}()
	if _, err := rest.Write(file[:1000]); err != nil {
		t.Fatal(err)
	}
	w.Eventually("the upload has begun", func() bool { return files(t, w.Options.Data+"/blobs") > 0 })
	stopped := make(chan error, 1)
	go func() { stopped <- w.Stop() }()
	w.Eventually("no new connections are taken", func() bool {
		c, err := net.Dial("tcp", strings.TrimPrefix(w.Server, "http://"))
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	select {
	case err := <-stopped:
		t.Fatalf("server stopped with a request open: %v", err)
	default:
	}
	rest.Write(file[1000:])
	rest.Close()
	if r := <-uploaded; r.err != nil || r.a.Release != "r1" {
		t.Errorf("upload across the stop = %+v, %v", r.a, r.err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
	w.Run()
	if _, err := w.ShowRelease(t.Context(), "r1"); err != nil {
		t.Errorf("release after the restart: %v", err)
	}
}

func files(t *testing.T, dir string) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			n++
		}
		return nil // a file may go while it is counted
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestSecondServerIsRefused(t *testing.T) {
	w := servertest.Start(t)
	err := server.Run(t.Context(), w.Options, io.Discard, io.Discard)
	if !errors.Is(err, server.ErrLocked) {
		t.Errorf("second server on the directory: %v, want ErrLocked", err)
	}
}

func TestPortInUse(t *testing.T) {
	w := servertest.Start(t)
	o := w.Options
	o.Data, o.Listen = t.TempDir(), strings.TrimPrefix(w.Server, "http://")
	var said bytes.Buffer
	err := server.Run(t.Context(), o, &said, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("server on a port in use: %v, want a hint at --listen", err)
	}
	if strings.Contains(said.String(), "token") {
		t.Error("a server that does not serve printed the one-time token")
	}
}

// TestSlowBodyIsCutOff sends a body that never ends; an operator's request
// has five seconds.
func TestSlowBodyIsCutOff(t *testing.T) {
	w := servertest.Start(t)
	c, err := net.Dial("tcp", strings.TrimPrefix(w.Server, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "POST /api/v1/tokens HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 100\r\n\r\n{", w.Token)
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	answer := make([]byte, 12)
	if _, err := io.ReadFull(c, answer); err != nil || string(answer) != "HTTP/1.1 408" {
		t.Errorf("a body that does not come = %q, %v, want 408", answer, err)
	}
}

func TestHeadersAreBounded(t *testing.T) {
	w := servertest.Start(t)
	c, err := net.Dial("tcp", strings.TrimPrefix(w.Server, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: %s\r\n\r\n", strings.Repeat("x", 64<<10))
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	answer := make([]byte, 12)
	if _, err := io.ReadFull(c, answer); err != nil || string(answer) != "HTTP/1.1 431" {
		t.Errorf("64 KiB of headers = %q, %v, want 431", answer, err)
	}
}

func TestLogFormats(t *testing.T) {
	for format, want := range map[string]string{"json": `"msg":"hello"`, "text": "msg=hello", "auto": `"msg":"hello"`} {
		o := server.Defaults()
		o.LogFormat = format
		var b bytes.Buffer
		log := server.NewLog(o, &b)
		log.Info("hello")
		log.Debug("quiet")
		if !strings.Contains(b.String(), want) || strings.Contains(b.String(), "quiet") {
			t.Errorf("log-format %s writes %q, want %q and no debug line", format, b.String(), want)
		}
	}
}
