package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/blob/disk"
	"github.com/moult-ota/moult/internal/control"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/frontend/frontendtest/menderdevice"
	"github.com/moult-ota/moult/internal/frontend/mender"
	"github.com/moult-ota/moult/internal/store"
	"github.com/moult-ota/moult/internal/store/sqlite"
	"github.com/moult-ota/moult/internal/wire/menderapi"
)

// A world is the control plane behind its front end, and bare net/http.
type world struct {
	db       *store.DB
	control  *control.Control
	ours     *httptest.Server
	bare     *httptest.Server
	requests [][]byte // one for each device that has nothing to do
	links    []string
}

var ctx = context.Background()

var running = fleet.Report{Type: "board", Provides: map[string]string{
	"artifact_name": "release-1", "rootfs-image.version": "release-1", "rootfs-image.checksum": strings.Repeat("ab", 32)}}

func newWorld(dir string, s settings) (*world, error) {
	w := &world{}
	if err := w.open(dir); err != nil {
		return nil, err
	}
	var ids []device.ID
	for i := range s.conns {
		id, err := w.join(i)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return w, w.assign(dir, s, ids[:min(4, len(ids))])
}

func (w *world) open(dir string) (err error) {
	if w.db, err = sqlite.Open(ctx, filepath.Join(dir, "moult.db")); err != nil {
		return err
	}
	blobs, err := disk.Open(filepath.Join(dir, "blobs"))
	if err != nil {
		return err
	}
	if w.control, err = control.New(control.Options{DB: w.db, Blobs: blobs}); err != nil {
		return err
	}
	secret, err := w.control.Secret(ctx, "mender")
	if err != nil {
		return err
	}
	h, err := mender.New(mender.Options{Core: w.control, Secret: secret})
	if err != nil {
		return err
	}
	w.ours = httptest.NewServer(h)
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServer(http.Dir(dir)))
	mux.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	w.bare = httptest.NewServer(mux)
	return nil
}

func (w *world) close() {
	w.ours.Close()
	w.bare.Close()
	w.db.Close()
}

// join enrols a device that then has nothing to do.
func (w *world) join(i int) (device.ID, error) {
	identity, err := device.ParseIdentity(fmt.Sprintf(`{"sn":"%d"}`, i))
	if err != nil {
		return "", err
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	d := &menderdevice.Device{Base: w.ours.URL, Client: http.DefaultClient, Identity: identity, Key: key}
	if err := d.Enroll(ctx); !errors.Is(err, fleet.ErrUnauthorized) {
		return "", fmt.Errorf("enrol: %w", err)
	}
	list, err := w.control.Devices(ctx, control.DeviceQuery{Status: device.Pending})
	if err != nil || len(list.Items) != 1 {
		return "", fmt.Errorf("find device %d: %d are pending, %w", i, len(list.Items), err)
	}
	id := list.Items[0].ID
	if err := w.control.SetDeviceStatus(ctx, id, device.Accepted, "", ""); err != nil {
		return "", err
	}
	if err := d.Enroll(ctx); err != nil {
		return "", err
	}
	w.requests = append(w.requests, request(d.Token))
	_, err = d.CheckIn(ctx, running)
	return id, err
}

func request(token string) []byte {
	body := menderapi.NewNextRequest(running).Append(nil)
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nContent-Type: application/json\r\n"+
		"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", menderapi.NextPath, token, len(body), body)
}

// assign gives the first devices an artifact to download.
func (w *world) assign(dir string, s settings, ids []device.ID) error {
	payload := make([]byte, s.mib<<20)
	rand.Read(payload)
	var file bytes.Buffer
	err := artifact.Write(&file, artifact.Spec{Name: "release-2", DeviceTypes: []string{"other"}, PayloadType: "single-file", Compression: artifact.None,
		Files: []artifact.Source{{Name: "payload", Size: int64(len(payload)),
			Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(payload)), nil }}}})
	if err != nil {
		return err
	}
	if _, err := w.control.Upload(ctx, &file, ""); err != nil {
		return err
	}
	if err := shareBlob(dir); err != nil {
		return err
	}
	d, err := w.control.CreateDeployment(ctx, control.NewDeployment{Release: "release-2",
		Target: deployment.Target{Kind: deployment.ByIDs, Devices: ids}})
	if err != nil {
		return err
	}
	for i := range ids {
		if err := w.offer(i, d.ID); err != nil {
			return err
		}
	}
	w.requests = w.requests[len(ids):]
	return nil
}

// shareBlob links the one blob to dir/file, so that both sides serve the same
// pages of the same file.
func shareBlob(dir string) error {
	return filepath.WalkDir(filepath.Join(dir, "blobs"), func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || len(e.Name()) != 62 { // the rest of a SHA-256
			return err
		}
		return os.Link(path, filepath.Join(dir, "file"))
	})
}

// offer asks once for the device with the i-th request, as another type.
func (w *world) offer(i int, want deployment.ID) error {
	head, body, _ := bytes.Cut(w.requests[i], []byte("\r\n\r\n"))
	token := strings.TrimSpace(strings.Split(strings.Split(string(head), "Bearer ")[1], "\r\n")[0])
	body = bytes.Replace(body, []byte(`"board"`), []byte(`"other"`), 1)
	req, err := http.NewRequest("POST", w.ours.URL+menderapi.NextPath, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, menderapi.MaxNextReply))
	if err != nil {
		return err
	}
	reply, err := menderapi.ParseNextReply(text)
	if err != nil || reply.Assignment.Deployment != want {
		return fmt.Errorf("offer: %s %s: %w", resp.Status, text, err)
	}
	w.links = append(w.links, reply.URI)
	return nil
}

func (w *world) comparisons() []comparison {
	next := func(s *httptest.Server) func(time.Duration) (float64, error) {
		return func(d time.Duration) (float64, error) {
			return repeat(s.Listener.Addr().String(), w.requests, "204", d)
		}
	}
	var files []string
	for range w.links {
		files = append(files, w.bare.URL+"/file")
	}
	return []comparison{
		{"check in, nothing new", "req/s", next(w.ours), next(w.bare), 0.5},
		{"download", "MiB/s",
			func(d time.Duration) (float64, error) { return fetch(w.links, d) },
			func(d time.Duration) (float64, error) { return fetch(files, d) }, 0.9},
	}
}
