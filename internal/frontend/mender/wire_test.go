package mender

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/frontend/frontendtest/menderdevice"
	"github.com/moult-ota/moult/internal/wire/menderapi"
)

// send writes a request as mender-client 3.4.0 does through its own proxy:
// chunked, without a length, header names in canonical form.
func (w *world) send(t *testing.T, method, path, header, body string) (*http.Response, string) {
	t.Helper()
	host := strings.TrimPrefix(w.url, "http://")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: Go-http-client/1.1\r\n%s", method, path, host, header)
	if body != "" {
		fmt.Fprintf(conn, "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	} else {
		io.WriteString(conn, "\r\n")
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

// join returns an accepted device's Authorization line.
func (w *world) join(t *testing.T, identity device.Identity) (device.ID, string) {
	t.Helper()
	d := menderdevice.New(t, w.url, identity)
	d.Enroll(t.Context())
	id, err := w.fleet.Accept(identity)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Enroll(t.Context()); err != nil {
		t.Fatal(err)
	}
	return id, "Authorization: Bearer " + d.Token + "\r\n"
}

// deploy gives the device a new release and returns its deployment.
func (w *world) deploy(t *testing.T, id device.ID) deployment.ID {
	t.Helper()
	w.fleet.Publish("rel-2", "dev", 8<<10)
	d, err := w.fleet.Deploy("rel-2", id)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const testIdentity device.Identity = `{"mac":"de:ad:be:ef:00:01","sn":"1234"}`

// TestRecordedUpdate replays what a 3.4.0 client sends through one update,
// with the recorded bodies, and wants the recorded answers.
func TestRecordedUpdate(t *testing.T) {
	w := newWorld(t, Options{})
	id, auth := w.join(t, testIdentity)
	d := w.deploy(t, id)
	v1, v2 := "/api/devices/v1/deployments/device/deployments/", "/api/devices/v2/deployments/device/deployments/"
	next := `{"device_provides":{"artifact_name":"rel-1","device_type":"dev"},"update_control_map":true}` + "\n"
	after := strings.ReplaceAll(next, "rel-1", "rel-2")
	attributes := `[{"name":"hostname","value":"foo"},{"name":"net","value":["eth0","wlan0"]},{"name":"device_type","value":"dev"},` +
		`{"name":"artifact_name","value":"rel-1"},{"name":"mender_client_version","value":"3.4.0+ds1-5+b1"}]` + "\n"
	status := func(s string) string { return `{"status":"` + s + `"}` + "\n" }
	steps := []struct {
		method, path, body string
		want               int
		state              deployment.State
	}{
		{"PUT", "/api/devices/v1/inventory/device/attributes", attributes, 200, deployment.Pending},
		{"POST", v2 + "next", next, 200, deployment.Offered},
		{"PUT", v1 + string(d) + "/status", status("downloading"), 204, deployment.Downloading},
		{"PUT", v1 + string(d) + "/status", status("downloading"), 204, deployment.Downloading},
		{"GET", v2 + string(d) + "/update_control_map", "", 200, deployment.Downloading},
		{"PUT", v1 + string(d) + "/status", status("pause_before_installing"), 204, deployment.Downloading},
		{"PUT", v1 + string(d) + "/status", status("installing"), 204, deployment.Installing},
		{"PUT", v1 + string(d) + "/status", status("rebooting"), 204, deployment.Rebooting},
		{"PUT", v1 + string(d) + "/status", status("installing"), 204, deployment.Trying},
		{"PUT", v1 + string(d) + "/status", status("success"), 204, deployment.Done},
		{"PUT", "/api/devices/v1/inventory/device/attributes", attributes, 200, deployment.Done},
		{"POST", v2 + "next", after, 204, deployment.Done},
	}
	for _, s := range steps {
		resp, text := w.send(t, s.method, s.path, auth+"Content-Type: application/json\r\n", s.body)
		if resp.StatusCode != s.want {
			t.Fatalf("%s %s %s = %d %s, want %d", s.method, s.path, s.body, resp.StatusCode, text, s.want)
		}
		if resp.StatusCode == 204 && text != "" {
			t.Errorf("%s %s: 204 with body %q", s.method, s.path, text)
		}
		if a, err := w.fleet.Assignment(d, id); err != nil || a.State != s.state {
			t.Errorf("after %s %s%s: state %s, %v, want %s", s.method, s.path, s.body, a.State, err, s.state)
		}
	}
}

func TestNextReply(t *testing.T) {
	w := newWorld(t, Options{})
	id, auth := w.join(t, testIdentity)
	d := w.deploy(t, id)
	requests := map[string][]string{
		"v2":       {"POST", menderapi.NextPath, `{"device_provides":{"artifact_name":"rel-1","device_type":"dev"}}`},
		"v1":       {"POST", menderapi.NextV1Path, `{"artifact_name":"rel-1","device_type":"dev"}`},
		"v1 query": {"GET", menderapi.NextV1Path + "?artifact_name=rel-1&device_type=dev", ""},
	}
	want := regexp.MustCompile(`^\{"id":"` + string(d) + `","artifact":\{"id":"artifact-rel-2-1","artifact_name":"rel-2",` +
		`"source":\{"uri":"http://127\.0\.0\.1:\d+/api/devices/v1/download/[^"]+","expire":"2026-11-24T07:06:55Z"\},` +
		`"device_types_compatible":\["dev"\],"size":8192,"sha256":"[0-9a-f]{64}"\}\}$`)
	for name, r := range requests {
		t.Run(name, func(t *testing.T) {
			resp, text := w.send(t, r[0], r[1], auth, r[2])
			if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/json" || !want.MatchString(text) {
				t.Errorf("answer = %d %v %s, want 200 and %s", resp.StatusCode, resp.Header, text, want)
			}
		})
	}
}

func TestEnrollAnswers(t *testing.T) {
	w := newWorld(t, Options{})
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, _ := menderapi.NewKey(key.Public())
	request := func(identity string) string {
		return string(menderapi.AuthRequest{Identity: identity, Key: public.PEM(), TenantToken: "tenanttok"}.Append(nil)) + "\n"
	}
	good := request(`{"sn":"1234","mac":"de:ad:be:ef:00:01"}`) // unsorted
	sign := func(body string) string {
		sig, err := menderapi.Sign(key, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		return "x-mEn-SIGNATURE: " + sig + "\r\nAuthorization: API_KEY\r\n"
	}
	steps := []struct {
		name, header, body string
		want               int
		text               string
	}{
		{"no signature", "", good, 400, "missing request signature header"},
		{"not JSON", sign("x"), "x", 400, ""},
		{"no key", sign(`{"id_data":"{}"}`), `{"id_data":"{}"}`, 400, ""},
		{"bad key", sign(`{"id_data":"{}","pubkey":"x"}`), `{"id_data":"{}","pubkey":"x"}`, 400, ""},
		{"bad identity", sign(request(`{"a":1}`)), request(`{"a":1}`), 400, ""},
		{"signed without the newline", sign(strings.TrimSpace(good)), good, 401, "signature verification failed"},
		{"pending", sign(good), good, 401, "dev auth: unauthorized"},
		{"still pending", sign(good), good, 401, "dev auth: unauthorized"},
	}
	for _, s := range steps {
		resp, text := w.send(t, "POST", menderapi.AuthPath, s.header, s.body)
		if resp.StatusCode != s.want || !strings.HasPrefix(menderapi.ParseError([]byte(text)), s.text) {
			t.Errorf("%s: answer = %d %s, want %d %s", s.name, resp.StatusCode, text, s.want, s.text)
		}
		checkError(t, s.name, resp, text)
	}
	if _, err := w.fleet.Accept(testIdentity); err != nil {
		t.Fatal(err)
	}
	resp, text := w.send(t, "POST", menderapi.AuthPath, sign(good), good)
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/jwt" || strings.Count(text, ".") != 2 {
		t.Errorf("accepted: answer = %d %v %s, want 200 and a token", resp.StatusCode, resp.Header, text)
	}
}

// checkError wants the error body that all clients know.
func checkError(t *testing.T, name string, resp *http.Response, text string) {
	t.Helper()
	id := resp.Header.Get("X-MEN-RequestID")
	want := regexp.MustCompile(`^\{"error":".+","request_id":"` + id + `"\}$`)
	if !regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`).MatchString(id) || !want.MatchString(text) ||
		resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s: %v %s, want %s", name, resp.Header, text, want)
	}
}
