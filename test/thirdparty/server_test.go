package thirdparty_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/blob/disk"
	"github.com/moult-ota/moult/internal/control"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/frontend/mender"
	"github.com/moult-ota/moult/internal/store/sqlite"
)

var ctx = context.Background()

// A server is the control plane behind Mender's device API, and the requests
// that it saw.
type server struct {
	*control.Control
	url string

	mu   sync.Mutex
	seen []string
}

func startServer(t *testing.T) *server {
	t.Helper()
	dir := t.TempDir()
	db, err := sqlite.Open(ctx, filepath.Join(dir, "moult.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	blobs, err := disk.Open(filepath.Join(dir, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	s := &server{}
	if s.Control, err = control.New(control.Options{DB: db, Blobs: blobs}); err != nil {
		t.Fatal(err)
	}
	secret, err := s.Secret(ctx, "mender")
	if err != nil {
		t.Fatal(err)
	}
	h, err := mender.New(mender.Options{Core: s.Control, Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s.watch(h))
	t.Cleanup(srv.Close)
	s.url = srv.URL
	return s
}

// watch keeps status, method and path of each request.
func (s *server) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := &status{ResponseWriter: w, code: http.StatusOK}
		next.ServeHTTP(answer, r)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.seen = append(s.seen, fmt.Sprintf("%d %s %s", answer.code, r.Method, r.URL.Path))
	})
}

type status struct {
	http.ResponseWriter
	code int
}

func (s *status) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}

func (s *server) saw(request string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.seen {
		if r == request {
			return true
		}
	}
	return false
}

// device waits for the one device and returns it.
func (s *server) device(t *testing.T) device.ID {
	t.Helper()
	var id device.ID
	waitFor(t, "the client to ask to join", func() bool {
		list, err := s.Devices(ctx, control.DeviceQuery{})
		if err != nil {
			t.Fatal(err)
		}
		if len(list.Items) == 1 {
			id = list.Items[0].ID
		}
		return id != ""
	})
	return id
}

func (s *server) state(t *testing.T, d deployment.ID) deployment.Assignment {
	t.Helper()
	list, err := s.Assignments(ctx, d, control.AssignmentQuery{})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("Assignments(%s) = %+v, %v, want one", d, list, err)
	}
	return list.Items[0]
}

// deploy uploads files for an installer and sends them to the device.
func (s *server) deploy(t *testing.T, id device.ID, spec artifact.Spec, files map[string]string) deployment.ID {
	t.Helper()
	spec.DeviceTypes = []string{deviceType}
	spec.Provides = map[string]string{"rootfs-image." + spec.PayloadType + ".version": spec.Name}
	for name, text := range files {
		spec.Files = append(spec.Files, artifact.Source{Name: name, Size: int64(len(text)),
			Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader([]byte(text))), nil }})
	}
	var file bytes.Buffer
	if err := artifact.Write(&file, spec); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Upload(ctx, &file, ""); err != nil {
		t.Fatal(err)
	}
	d, err := s.CreateDeployment(ctx, control.NewDeployment{
		Release: spec.Name, Target: deployment.Target{Kind: deployment.ByIDs, Devices: []device.ID{id}}})
	if err != nil {
		t.Fatal(err)
	}
	return d.ID
}

// newKey returns a key that signs, and its public half in PEM.
func newKey(t *testing.T) (artifact.Signer, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	signer, err := artifact.ParsePrivateKey(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	if err != nil {
		t.Fatal(err)
	}
	return signer, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
}
