package mender

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/wire/menderapi"
)

var endpoints = []struct {
	method, path string
	limit        int
}{
	{"POST", menderapi.AuthPath, menderapi.MaxAuthBody},
	{"POST", menderapi.NextPath, menderapi.MaxNextBody},
	{"POST", menderapi.NextV1Path, menderapi.MaxNextBody},
	{"PUT", menderapi.StatusPath("d"), menderapi.MaxStatusBody},
	{"PUT", menderapi.LogPath("d"), menderapi.MaxLogBody},
	{"PUT", menderapi.InventoryPath, menderapi.MaxInventoryBody},
	{"PATCH", menderapi.InventoryPath, menderapi.MaxInventoryBody},
}

func TestBodyLimits(t *testing.T) {
	w := newWorld(t, Options{})
	_, auth := w.join(t, testIdentity)
	for _, e := range endpoints {
		t.Run(e.method+" "+e.path, func(t *testing.T) {
			header := auth + "X-Men-Signature: AAAA\r\n"
			resp, text := w.send(t, e.method, e.path, header, strings.Repeat(" ", e.limit+1))
			if resp.StatusCode != 413 {
				t.Errorf("chunked body of %d bytes = %d %s, want 413", e.limit+1, resp.StatusCode, text)
			}
			checkError(t, e.path, resp, text)
			resp, text = w.send(t, e.method, e.path, header, strings.Repeat(" ", e.limit))
			if resp.StatusCode != 400 {
				t.Errorf("body of %d bytes = %d %s, want 400", e.limit, resp.StatusCode, text)
			}
			resp, text = w.send(t, e.method, e.path, header+"Content-Length: 9999999999\r\n", "")
			if resp.StatusCode != 413 {
				t.Errorf("announced body of 9999999999 bytes = %d %s, want 413", resp.StatusCode, text)
			}
		})
	}
}

// An endless body is read to its limit, not to memory's.
func TestEndlessBody(t *testing.T) {
	var read int64
	body := endless(func(p []byte) (int, error) {
		if read += int64(len(p)); read > 64<<20 {
			return 0, errors.New("read 64 MiB of an endless body")
		}
		return len(p), nil
	})
	for _, e := range endpoints {
		read = 0
		rec := httptest.NewRecorder()
		r := httptest.NewRequest(e.method, e.path, body)
		r.ContentLength = -1
		err := withBody(rec, r, int64(e.limit), func([]byte) error { return nil })
		if !errors.Is(err, fleet.ErrTooLarge) || read > 4*int64(e.limit)+1024 {
			t.Errorf("%s: %v after %d bytes, want %v soon after %d", e.path, err, read, fleet.ErrTooLarge, e.limit)
		}
	}
}

type endless func(p []byte) (int, error)

func (e endless) Read(p []byte) (int, error) { return e(p) }

func TestTokenIsNeeded(t *testing.T) {
	w := newWorld(t, Options{})
	for _, e := range endpoints[1:] {
		for _, header := range []string{"", "Authorization: Bearer \r\n", "Authorization: Bearer x.y.z\r\n", "Authorization: Basic x\r\n"} {
			resp, text := w.send(t, e.method, e.path, header, "{}")
			if resp.StatusCode != 401 {
				t.Errorf("%s %s with %q = %d %s, want 401", e.method, e.path, header, resp.StatusCode, text)
			}
			checkError(t, e.path, resp, text)
		}
	}
}

func TestUnknownPath(t *testing.T) {
	w := newWorld(t, Options{})
	resp, text := w.send(t, "GET", "/api/devices/v1/deviceconfig/configuration", "", "")
	if resp.StatusCode != 404 {
		t.Errorf("answer = %d, want 404", resp.StatusCode)
	}
	checkError(t, "unknown path", resp, text)
}

func TestControlMap(t *testing.T) {
	w := newWorld(t, Options{})
	id, auth := w.join(t, testIdentity)
	_, other := w.join(t, `{"mac":"2"}`)
	d := w.deploy(t, id)
	w.send(t, "POST", menderapi.NextPath, auth, `{"device_provides":{"device_type":"dev"}}`)
	ask := func(auth string, d deployment.ID, want int) {
		t.Helper()
		if resp, text := w.send(t, "GET", menderapi.ControlMapPath(d), auth, ""); resp.StatusCode != want {
			t.Errorf("control map of %s = %d %s, want %d", d, resp.StatusCode, text, want)
		}
	}
	ask(auth, d, 200)
	ask(other, d, 404)
	ask(auth, "none", 404)
	w.fleet.Abort(d)
	ask(auth, d, 404)
}

// A coreFunc answers check-ins; everything else is the fleet's.
type coreFunc struct {
	fleet.Core
	checkIn func(context.Context) (fleet.Assignment, error)
}

func (c coreFunc) CheckIn(ctx context.Context, _ device.ID, _ fleet.Report) (fleet.Assignment, error) {
	return c.checkIn(ctx)
}

func TestErrorsOfCore(t *testing.T) {
	tests := map[string]struct {
		err  error
		want int
		text string
	}{
		"busy":         {fleet.ErrBusy, 429, "server is busy"},
		"unauthorized": {fleet.ErrUnauthorized, 401, "device is not accepted"},
		"pending":      {fleet.ErrPending, 401, "device waits for acceptance"},
		"own failure":  {errors.New("disk of the server is on fire"), 500, "internal error"},
		"late":         {context.DeadlineExceeded, 500, "internal error"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h, err := New(Options{Secret: testSecret, Core: coreFunc{checkIn: func(context.Context) (fleet.Assignment, error) {
				return fleet.Assignment{}, tt.err
			}}})
			if err != nil {
				t.Fatal(err)
			}
			rec := askNext(h, "device")
			if rec.Code != tt.want || menderapi.ParseError(rec.Body.Bytes()) != tt.text {
				t.Errorf("answer = %d %s, want %d %s", rec.Code, rec.Body, tt.want, tt.text)
			}
			if got := rec.Header().Get("Retry-After"); (got == "30") != (tt.want == 429) {
				t.Errorf("Retry-After = %q with %d", got, tt.want)
			}
		})
	}
}

// askNext asks what a device should do, past any network.
func askNext(h http.Handler, id device.ID) *httptest.ResponseRecorder {
	body := strings.NewReader(`{"device_provides":{"artifact_name":"rel-1","device_type":"dev"}}`)
	r := httptest.NewRequest("POST", menderapi.NextPath, body)
	now := Options{}.withDefaults().Now
	r.Header.Set("Authorization", "Bearer "+tokens{newSeal(testSecret, "device token"), 1e12}.issue(id, now()))
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec
}

// One device that holds its share does not keep another out; a crowd does.
func TestNoisyDevice(t *testing.T) {
	hold, held := make(chan struct{}), make(chan struct{})
	h, err := New(Options{Secret: testSecret, PerDevice: 2, Requests: 3, Core: coreFunc{checkIn: func(context.Context) (fleet.Assignment, error) {
		held <- struct{}{}
		<-hold
		return fleet.Assignment{}, nil
	}}})
	if err != nil {
		t.Fatal(err)
	}
	answers := make(chan int)
	start := func(id device.ID) {
		go func() { answers <- askNext(h, id).Code }()
		<-held
	}
	start("noisy")
	start("noisy")
	if got := askNext(h, "noisy").Code; got != 429 {
		t.Errorf("third request of one device = %d, want 429", got)
	}
	start("quiet")
	if got := askNext(h, "third").Code; got != 429 {
		t.Errorf("request above all = %d, want 429", got)
	}
	close(hold)
	for range 3 {
		if got := <-answers; got != 204 {
			t.Errorf("request within bounds = %d, want 204", got)
		}
	}
	go func() { answers <- askNext(h, "noisy").Code }()
	<-held
	if got := <-answers; got != 204 {
		t.Errorf("request after all left = %d, want 204", got)
	}
}

func TestNewRefuses(t *testing.T) {
	core := coreFunc{}
	for name, o := range map[string]Options{"no core": {Secret: testSecret}, "short secret": {Core: core, Secret: testSecret[1:]}} {
		if _, err := New(o); err == nil {
			t.Errorf("%s: New took it", name)
		}
	}
}
