package agent

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// A post is a server with one deployment that tells what it heard.
type post struct {
	*httptest.Server
	mu      sync.Mutex
	heard   []string
	settled func() // asked for work after the end
	serving func() // the artifact is asked for
}

func newPost(t *testing.T, name, file string) *post {
	p := &post{settled: func() {}, serving: func() {}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/devices/v1/authentication/auth_requests", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "token")
	})
	mux.HandleFunc("POST /api/devices/v2/deployments/device/deployments/next", func(w http.ResponseWriter, _ *http.Request) {
		if strings.HasSuffix(p.words(), "success") {
			w.WriteHeader(http.StatusNoContent)
			p.settled()
			return
		}
		fmt.Fprintf(w, `{"id":"d1","artifact":{"artifact_name":%q,"source":{"uri":"%s/file"},"device_types_compatible":["bench"]}}`, name, p.URL)
	})
	mux.HandleFunc("PUT /api/devices/v1/deployments/device/deployments/d1/status", func(w http.ResponseWriter, r *http.Request) {
		var status struct{ Status string }
		if err := json.NewDecoder(r.Body).Decode(&status); err != nil {
			t.Error(err)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.heard = append(p.heard, status.Status)
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /file", func(w http.ResponseWriter, r *http.Request) {
		p.serving()
		http.ServeFile(w, r, file)
	})
	mux.HandleFunc("/", func(http.ResponseWriter, *http.Request) {})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

func (p *post) words() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.heard, " ")
}

// TestDaemon runs the whole program: over HTTP, with files for slots, once
// before the reboot and once after. The reboot command ends the first run, as
// a reboot would.
func TestDaemon(t *testing.T) {
	b := newBox(t).setup()
	server := newPost(t, "fw-2", b.pack("fw-2", true))
	server.settled = func() { syscall.Kill(os.Getpid(), syscall.SIGTERM) }
	b.ok(os.WriteFile(b.path("reboot"), []byte("#!/bin/sh\nkill -TERM $PPID\n"), 0o755))
	daemon := []string{"daemon", "--servers", server.URL, "--poll", "10ms", "--retry", "10ms", "--reboot-command", b.path("reboot")}
	b.run(exitOK, daemon...)
	if got := server.words(); got != "downloading installing rebooting" {
		t.Errorf("before the reboot it said %q", got)
	}
	running := b.reboot()
	if running != "--running=B" {
		t.Fatalf("the loader starts %s", running)
	}
	b.run(exitOK, append(daemon, running)...)
	if got := server.words(); got != "downloading installing rebooting installing success" {
		t.Errorf("at the end it had said %q", got)
	}
	if p := b.shows(b.reboot()); p.Provides["artifact_name"] != "fw-2" || !p.Slots[1].Current {
		t.Errorf("at the end: %+v", p)
	}
}
