// Package menderdevice is a device that speaks Mender's device API the way
// mender-client 3.4.0 does: bodies are chunked and end in a newline. It is
// the Device of frontendtest for that protocol.
package menderdevice

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/frontend/frontendtest"
	"github.com/moult-ota/moult/internal/inventory"
	"github.com/moult-ota/moult/internal/wire/menderapi"
)

// A Device implements frontendtest.Device.
type Device struct {
	Base     string // URL of the server
	Client   *http.Client
	Identity device.Identity
	Key      ed25519.PrivateKey
	Token    string // empty until enrolled
}

var _ frontendtest.Device = (*Device)(nil)

// New returns a device with a new key.
func New(t *testing.T, base string, identity device.Identity) *Device {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &Device{Base: base, Client: http.DefaultClient, Identity: identity, Key: key}
}

// maxAnswer bounds an answer, in bytes.
const maxAnswer = 64 << 20

// Do sends one request and returns a good answer's status and body, or the
// error that its status stands for.
func (d *Device) Do(ctx context.Context, method, uri string, body []byte, header http.Header) (int, []byte, error) {
	var r io.Reader
	if body != nil {
		r = io.MultiReader(bytes.NewReader(append(body, '\n'))) // hides the length
	}
	req, err := http.NewRequestWithContext(ctx, method, uri, r)
	if err != nil {
		return 0, nil, err
	}
	for name, v := range header {
		req.Header[name] = v
	}
	resp, err := d.Client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return resp.StatusCode, answer, err
	}
	return resp.StatusCode, answer, failure(resp.StatusCode, answer)
}

var failures = map[int]error{
	http.StatusUnauthorized:          fleet.ErrUnauthorized,
	http.StatusForbidden:             fleet.ErrUnauthorized,
	http.StatusNotFound:              fleet.ErrNotFound,
	http.StatusConflict:              fleet.ErrCanceled,
	http.StatusRequestEntityTooLarge: fleet.ErrTooLarge,
	http.StatusTooManyRequests:       fleet.ErrBusy,
}

func failure(status int, body []byte) error {
	if status < 300 {
		return nil
	}
	if err := failures[status]; err != nil {
		return fmt.Errorf("%w: %d %s", err, status, menderapi.ParseError(body))
	}
	return fmt.Errorf("status %d: %.200s", status, body)
}

func (d *Device) ask(ctx context.Context, method, path string, body []byte) (int, []byte, error) {
	return d.Do(ctx, method, d.Base+path, body, http.Header{"Authorization": {"Bearer " + d.Token}})
}

// Enroll implements frontendtest.Device.
func (d *Device) Enroll(ctx context.Context) error {
	key, err := menderapi.NewKey(d.Key.Public())
	if err != nil {
		return err
	}
	body := menderapi.AuthRequest{Identity: string(d.Identity), Key: key.PEM()}.Append(nil)
	signature, err := menderapi.Sign(d.Key, append(body, '\n'))
	if err != nil {
		return err
	}
	_, token, err := d.Do(ctx, http.MethodPost, d.Base+menderapi.AuthPath, body, http.Header{
		"Authorization": {"Bearer "}, http.CanonicalHeaderKey(menderapi.SignatureHeader): {signature}})
	if err == nil {
		d.Token = string(token)
	}
	return err
}

// CheckIn implements frontendtest.Device.
func (d *Device) CheckIn(ctx context.Context, r fleet.Report) (frontendtest.Offer, error) {
	body := menderapi.NewNextRequest(r).Append(nil)
	status, answer, err := d.ask(ctx, http.MethodPost, menderapi.NextPath, body)
	if err != nil || status == http.StatusNoContent {
		return frontendtest.Offer{}, err
	}
	reply, err := menderapi.ParseNextReply(answer)
	return frontendtest.Offer{Assignment: reply.Assignment, Ref: reply.URI}, err
}

// Progress implements frontendtest.Device.
func (d *Device) Progress(ctx context.Context, p fleet.Progress) error {
	s, err := menderapi.NewStatus(p)
	if err != nil {
		return err
	}
	_, _, err = d.ask(ctx, http.MethodPut, menderapi.StatusPath(p.Deployment), s.Append(nil))
	return err
}

// Describe implements frontendtest.Device.
func (d *Device) Describe(ctx context.Context, a inventory.Attributes, replace bool) error {
	body, err := menderapi.AppendAttributes(nil, a)
	if err != nil {
		return err
	}
	method := http.MethodPatch
	if replace {
		method = http.MethodPut
	}
	_, _, err = d.ask(ctx, method, menderapi.InventoryPath, body)
	return err
}

// Log implements frontendtest.Device.
func (d *Device) Log(ctx context.Context, id deployment.ID, line string) error {
	body := menderapi.AppendLog(nil, []menderapi.Message{{At: time.Unix(1, 0), Level: "error", Text: line}})
	_, _, err := d.ask(ctx, http.MethodPut, menderapi.LogPath(id), body)
	return err
}

// Download implements frontendtest.Device. It shows no token, as the links
// carry their own.
func (d *Device) Download(ctx context.Context, o frontendtest.Offer, offset int64) ([]byte, error) {
	uri, header := o.Ref, http.Header{}
	if uri == "" {
		uri = d.Base + "/api/devices/v1/download/" + url.PathEscape(string(o.Deployment)) + "/device?expire=99999999999&signature=x"
	}
	if offset > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	status, body, err := d.Do(ctx, http.MethodGet, uri, nil, header)
	if err == nil && offset > 0 && status != http.StatusPartialContent {
		return nil, fmt.Errorf("range answered with %d", status)
	}
	return body, err
}
