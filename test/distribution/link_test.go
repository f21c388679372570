package distribution_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/api/client"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/inventory"
	"github.com/moult-ota/moult/internal/link"
	"github.com/moult-ota/moult/internal/link/mqttlink"
	"github.com/moult-ota/moult/internal/server"
	"github.com/moult-ota/moult/internal/server/servertest"
	"github.com/moult-ota/moult/internal/wire/securemsg"
)

// A memory is a mqttlink.Store that outlasts its link.
type memory struct {
	mu   sync.Mutex
	text []byte
}

func (m *memory) Load() ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return bytes.Clone(m.text), nil
}

func (m *memory) Save(text []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.text = bytes.Clone(text)
	return nil
}

// newLink is a link of a new device to a broker at addr.
func newLink(t *testing.T, addr, name string, set ...func(*mqttlink.Options)) *mqttlink.Link {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	o := mqttlink.Options{
		Servers: []string{"mqtt://" + addr}, Identity: device.Identity(fmt.Sprintf(`{"mac":%q}`, name)), Type: "x", Key: key,
		Store: &memory{}, Cache: mqttlink.Folder(filepath.Join(t.TempDir(), "cache")), Agent: "test", Timeout: 30 * time.Second,
		Log: slog.New(slog.DiscardHandler),
	}
	for _, f := range set {
		f(&o)
	}
	l, err := mqttlink.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// noise does not compress.
func noise(size int) []byte {
	text := make([]byte, size)
	mrand.NewChaCha8([32]byte{7}).Read(text)
	return text
}

// fromRelease is what a device reports.
func fromRelease(name string) fleet.Report {
	return fleet.Report{Type: "x", Provides: map[string]string{"artifact_name": name, "rootfs-image.version": name}}
}

// TestLifeOverMQTT: everything that a link is asked for, over the embedded
// broker, from a stranger to a device that is done.
func TestLifeOverMQTT(t *testing.T) {
	t.Parallel()
	addr := freeAddress(t)
	w := servertest.Start(t, func(o *server.Options) { o.MQTT = addr })
	woken := make(chan struct{}, 16)
	l := newLink(t, addr, "a", func(o *mqttlink.Options) { o.Wake = func() { woken <- struct{}{} } })
	if err := l.Authenticate(t.Context()); !errors.Is(err, link.ErrUnauthorized) {
		t.Fatalf("Authenticate of a stranger = %v, want %v", err, link.ErrUnauthorized)
	}
	id := w.ID("a")
	if err := w.SetDeviceStatus(t.Context(), id, client.NewStatus{Status: "accepted"}, client.SetDeviceStatusParams{}); err != nil {
		t.Fatal(err)
	}
	must(t, l.Authenticate(t.Context()))
	if o, err := l.Next(t.Context(), fromRelease("r1")); err != nil || o.Deployment != "" {
		t.Fatalf("Next = %+v, %v, want nothing to do", o, err)
	}
	must(t, l.Describe(t.Context(), inventory.Attributes{"hostname": "one"}))
	file := servertest.Artifact(t, "r2", "x", noise(800<<10))
	if _, err := w.UploadArtifact(t.Context(), bytes.NewReader(file), client.UploadArtifactParams{}); err != nil {
		t.Fatal(err)
	}
	d, err := w.CreateDeployment(t.Context(), client.NewDeployment{Release: "r2", Target: client.Target{Devices: []string{id}}}, client.CreateDeploymentParams{})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-woken:
	case <-time.After(10 * time.Second):
		t.Fatal("a new deployment did not wake the device")
	}
	o, err := l.Next(t.Context(), fromRelease("r1"))
	if err != nil || string(o.Deployment) != d.ID || o.Artifact != "r2" || o.Size != int64(len(file)) {
		t.Fatalf("Next = %+v, %v, want %s with %d bytes", o, err, d.ID, len(file))
	}
	for _, offset := range []int64{0, 1, int64(len(file)) - 1} {
		if got := download(t, l, o.URI, offset); !bytes.Equal(got, file[offset:]) {
			t.Errorf("download from %d = %d bytes, want the last %d", offset, len(got), int64(len(file))-offset)
		}
	}
	for _, state := range []deployment.State{deployment.Downloading, deployment.Installing, deployment.Rebooting, deployment.Trying, deployment.Done} {
		must(t, l.Progress(t.Context(), fleet.Progress{Deployment: o.Deployment, State: state}))
	}
	detail, err := w.ShowDevice(t.Context(), id, client.ShowDeviceParams{})
	must(t, err)
	if got, _ := detail.Inventory["mqtt_bytes_received"].(float64); got < float64(len(file)) {
		t.Errorf("the last report told of %v bytes received, want more than the artifact's %d", got, len(file))
	}
	must(t, l.Log(t.Context(), o.Deployment, []link.Line{{At: time.Now(), Level: "info", Message: strings.Repeat("a long line ", 3000)}}))
	if o, err := l.Next(t.Context(), fromRelease("r2")); err != nil || o.Deployment != "" {
		t.Errorf("Next after it is done = %+v, %v, want nothing to do", o, err)
	}
	if _, err := l.Open(t.Context(), o.URI, 0); !errors.Is(err, link.ErrExpired) {
		t.Errorf("Open after it is done = %v, want %v", err, link.ErrExpired)
	}
	detail, err = w.ShowDevice(t.Context(), id, client.ShowDeviceParams{})
	if err != nil || detail.Inventory["hostname"] != "one" || detail.Inventory["mqtt_bytes_sent"] == nil {
		t.Errorf("inventory = %v, %v", detail.Inventory, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func download(t *testing.T, l link.Opener, uri string, offset int64) []byte {
	t.Helper()
	s, err := l.Open(t.Context(), uri, offset)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Body.Close()
	got, err := io.ReadAll(s.Body)
	if err != nil {
		t.Fatalf("read from %d: %v after %d bytes", offset, err, len(got))
	}
	return got
}

// TestPinnedServerKey: a device that was given a key talks to no other
// server, and its enrolment token is read by none.
func TestPinnedServerKey(t *testing.T) {
	t.Parallel()
	addr := freeAddress(t)
	w := servertest.Start(t, func(o *server.Options) { o.MQTT = addr })
	keys, err := server.SessionKeys(w.Options)
	must(t, err)
	right, err := securemsg.ParseServerKey(keys[0])
	must(t, err)
	token, err := w.CreateEnrolmentToken(t.Context(), client.NewEnrolmentToken{Name: "line", Uses: 1})
	must(t, err)
	l := newLink(t, addr, "a", func(o *mqttlink.Options) { o.ServerKeys, o.Token = []securemsg.ServerKey{right}, token.Secret })
	must(t, l.Authenticate(t.Context()))
	wrong := right
	wrong.Public = bytes.Repeat([]byte{9}, 32)
	l = newLink(t, addr, "b", func(o *mqttlink.Options) { o.ServerKeys = []securemsg.ServerKey{wrong} })
	if err := l.Authenticate(t.Context()); err == nil {
		t.Error("a device with another server's key was let in")
	}
}

// TestEncryptedLine: the broker's door speaks TLS, and a device that does not
// trust its certificate goes no further.
func TestEncryptedLine(t *testing.T) {
	t.Parallel()
	addr := freeAddress(t)
	w := servertest.Start(t, func(o *server.Options) { o.MQTT, o.TLS, o.Metrics = addr, "self-signed", "token" })
	pem, err := os.ReadFile(filepath.Join(w.Options.Data, "tls", "cert.pem"))
	must(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	for _, tt := range []struct {
		name  string
		roots *x509.CertPool
		want  error
	}{{"trusting", roots, link.ErrUnauthorized}, {"wary", x509.NewCertPool(), nil}} {
		l := newLink(t, addr, tt.name, func(o *mqttlink.Options) {
			o.Servers, o.TLS = []string{"mqtts://" + addr}, &tls.Config{RootCAs: tt.roots}
		})
		err := l.Authenticate(t.Context())
		if tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: Authenticate = %v, want %v", tt.name, err, tt.want)
		}
		if unknown := new(x509.UnknownAuthorityError); tt.want == nil && !errors.As(err, unknown) && !strings.Contains(fmt.Sprint(err), "certificate") {
			t.Errorf("%s: Authenticate = %v, want an error about the certificate", tt.name, err)
		}
	}
}
