// Package servertest runs the real server in a test's process: its data
// directory is the test's, it listens on loopback, and its first token is
// read from what it prints, as an operator reads it.
package servertest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/api/client"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/frontend/frontendtest/menderdevice"
	"github.com/moult-ota/moult/internal/server"
)

// A World is a running server and its first operator.
type World struct {
	*client.Client        // of the first operator
	Setup          string // the one-time link; empty after the first start
	Options        server.Options
	t              testing.TB
	stop           func() error
}

// Start runs a server until the test ends. The options it is given may change
// anything but where it listens.
func Start(t testing.TB, set ...func(*server.Options)) *World {
	t.Helper()
	o := server.Defaults()
	o.Data, o.Listen, o.LogLevel = t.TempDir(), "127.0.0.1:0", "warn"
	for _, f := range set {
		f(&o)
	}
	w := &World{Options: o, t: t}
	w.Run()
	t.Cleanup(func() {
		if err := w.Stop(); err != nil {
			t.Errorf("stop server: %v", err)
		}
	})
	return w
}

// Run starts the server again after Stop; the operator stays the same.
func (w *World) Run() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	said, out := io.Pipe()
	done := make(chan error, 1)
	logs := &logWriter{t: w.t}
	go func() {
		err := server.Run(ctx, w.Options, out, logs)
		out.CloseWithError(io.EOF)
		done <- err
	}()
	w.stop = sync.OnceValue(func() error { cancel(); err := <-done; logs.close(); return err })
	w.listen(said)
}

// Stop ends the server as SIGTERM does.
func (w *World) Stop() error { return w.stop() }

// listen reads what the server prints until it serves.
func (w *World) listen(said io.Reader) {
	w.t.Helper()
	url, token := "", ""
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		word := lines.Text()[strings.LastIndex(lines.Text(), " ")+1:]
		switch line := lines.Text(); {
		case strings.HasPrefix(line, "moult server"):
			url = word
		case strings.HasPrefix(line, "operator token"):
			token = word
		case strings.HasPrefix(line, "or open"):
			w.Setup = word
		}
		if url != "" && (w.Client != nil || w.Setup != "") {
			break
		}
	}
	go io.Copy(io.Discard, said)
	if url == "" {
		w.t.Fatal("server did not say where it listens")
	}
	if w.Client == nil {
		w.Client = &client.Client{Token: token}
	}
	w.Client.Server = url
}

// As returns a client with a new token of the given scopes.
func (w *World) As(scopes ...string) *client.Client {
	w.t.Helper()
	tok, err := w.CreateToken(w.t.Context(), client.NewToken{Name: strings.Join(scopes, "-"), Scopes: scopes})
	if err != nil {
		w.t.Fatal(err)
	}
	return &client.Client{Server: w.Server, Token: tok.Secret}
}

// Device returns a device that asked to join and waits.
func (w *World) Device(name string) *menderdevice.Device {
	w.t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	d := &menderdevice.Device{Base: w.Server, Client: http.DefaultClient, Identity: device.Identity(fmt.Sprintf(`{"mac":%q}`, name)), Key: key}
	if err := d.Enroll(w.t.Context()); err == nil {
		w.t.Fatalf("device %s was let in unasked", name)
	}
	return d
}

// Accepted returns a device that is let in, and its id.
func (w *World) Accepted(name string) (*menderdevice.Device, string) {
	w.t.Helper()
	d := w.Device(name)
	id := w.ID(name)
	if err := w.SetDeviceStatus(w.t.Context(), id, client.NewStatus{Status: "accepted"}, client.SetDeviceStatusParams{}); err != nil {
		w.t.Fatal(err)
	}
	if err := d.Enroll(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return d, id
}

// ID finds the device that Device named.
func (w *World) ID(name string) string {
	w.t.Helper()
	page, err := w.ListDevices(w.t.Context(), client.ListDevicesParams{Limit: 500})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, d := range page.Items {
		if d.Identity["mac"] == name {
			return d.ID
		}
	}
	w.t.Fatalf("no device %s among %d", name, len(page.Items))
	return ""
}

// Artifact returns an unsigned artifact of one file.
func Artifact(t testing.TB, release, typ string, payload []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	err := artifact.Write(&b, artifact.Spec{
		Name: release, DeviceTypes: []string{typ}, PayloadType: "rootfs-image",
		Provides: map[string]string{"rootfs-image.version": release}, TempDir: t.TempDir(),
		Files: []artifact.Source{{Name: "image", Size: int64(len(payload)), Open: func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(payload)), nil
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Release uploads an artifact and returns it.
func (w *World) Release(release, typ string) client.Artifact {
	w.t.Helper()
	a, err := w.UploadArtifact(w.t.Context(), bytes.NewReader(Artifact(w.t, release, typ, []byte("image of "+release))), client.UploadArtifactParams{})
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// Eventually waits until ok says so, and fails the test after ten seconds.
func (w *World) Eventually(what string, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("still not so: %s", what)
		}
	}
}

// logWriter gives the server's log to the test while it runs.
type logWriter struct {
	mu   sync.Mutex
	t    testing.TB
	over bool
}

func (l *logWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over {
		l.t.Logf("server: %s", bytes.TrimSpace(p))
	}
	return len(p), nil
}

func (l *logWriter) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
}
