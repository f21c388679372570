package api_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/moult-ota/moult/internal/api/client"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/frontend/frontendtest/menderdevice"
	"github.com/moult-ota/moult/internal/server/servertest"
)

var everyone = client.Target{All: true}

// refused fails unless err is the problem with that code and status.
func refused(t *testing.T, what string, err error, status int64, code string) {
	t.Helper()
	var e *client.Error
	if !asError(err, &e) || e.Code != code || e.Status != status {
		t.Errorf("%s = %v, want problem %s with status %d", what, err, code, status)
		return
	}
	if e.Type != "urn:moult:problem:"+code || e.Title == "" || e.Detail == "" || e.RequestID == "" {
		t.Errorf("%s: problem %+v lacks a member", what, e.Problem)
	}
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func deploy(t *testing.T, w *servertest.World, release string, to client.Target) client.Deployment {
	t.Helper()
	return must(w.CreateDeployment(t.Context(), client.NewDeployment{Release: release, Target: to}, client.CreateDeploymentParams{}))(t)
}

// finish makes a device take its update to the end.
func finish(t *testing.T, d *menderdevice.Device, states ...deployment.State) deployment.ID {
	t.Helper()
	o := must(d.CheckIn(t.Context(), fleet.Report{Type: "rpi", Provides: map[string]string{"artifact_name": "old"}}))(t)
	if o.Deployment == "" {
		t.Fatal("device was offered nothing")
	}
	for _, s := range states {
		if err := d.Progress(t.Context(), fleet.Progress{Deployment: o.Deployment, State: s}); err != nil {
			t.Fatalf("report %s: %v", s, err)
		}
	}
	return o.Deployment
}

var success = []deployment.State{deployment.Downloading, deployment.Installing, deployment.Rebooting, deployment.Done}

func TestDevices(t *testing.T) {
	w := servertest.Start(t)
	ctx := t.Context()
	w.Device("a")
	_, b := w.Accepted("b")
	page := must(w.ListDevices(ctx, client.ListDevicesParams{Status: "pending"}))(t)
	if len(page.Items) != 1 || page.Items[0].Identity["mac"] != "a" || page.NextCursor != "" {
		t.Errorf("pending devices = %+v, want a", page)
	}
	n := must(w.CountDevices(ctx))(t)
	if n.Total != 2 || n.Counts["pending"] != 1 || n.Counts["accepted"] != 1 {
		t.Errorf("CountDevices() = %+v, want one pending and one accepted", n)
	}
	d := must(w.ShowDevice(ctx, b, client.ShowDeviceParams{}))(t)
	if d.ID != b || d.Status != "accepted" || len(d.Keys) != 1 || d.Version == "" {
		t.Errorf("ShowDevice(b) = %+v, want it accepted, with its key", d)
	}
	if err := w.DecommissionDevice(ctx, b); err != nil {
		t.Fatal(err)
	}
	if d := must(w.ShowDevice(ctx, b, client.ShowDeviceParams{}))(t); d.Status != "decommissioned" {
		t.Errorf("status after DecommissionDevice = %s", d.Status)
	}
	refused(t, "ShowDevice of none", second(w.ShowDevice(ctx, "none", client.ShowDeviceParams{})), 404, "not_found")
	refused(t, "DecommissionDevice of none", w.DecommissionDevice(ctx, "none"), 404, "not_found")
	refused(t, "ListDevices with a bad status", second(w.ListDevices(ctx, client.ListDevicesParams{Status: "lost"})), 422, "invalid")
	refused(t, "ListDevices with a bad cursor", second(w.ListDevices(ctx, client.ListDevicesParams{Cursor: "lost"})), 422, "invalid")
	refused(t, "ListDevices with a bad filter", second(w.ListDevices(ctx, client.ListDevicesParams{Filter: "((("})), 422, "invalid")
}

func TestETag(t *testing.T) {
	w := servertest.Start(t)
	ctx := t.Context()
	w.Device("a")
	id := w.ID("a")
	seen := must(w.ShowDevice(ctx, id, client.ShowDeviceParams{}))(t)
	var e *client.Error
	if err := second(w.ShowDevice(ctx, id, client.ShowDeviceParams{IfNoneMatch: `"` + seen.Version + `"`})); !asError(err, &e) || e.Status != 304 {
		t.Errorf("ShowDevice with the ETag that it has = %v, want 304", err)
	}
	accept, reject := client.NewStatus{Status: "accepted"}, client.NewStatus{Status: "rejected"}
	decided := client.SetDeviceStatusParams{IfMatch: `"` + seen.Version + `"`}
	if err := w.SetDeviceStatus(ctx, id, accept, decided); err != nil {
		t.Fatal(err)
	}
	refused(t, "SetDeviceStatus on an old ETag", w.SetDeviceStatus(ctx, id, reject, decided), 412, "precondition_failed")
	if d := must(w.ShowDevice(ctx, id, client.ShowDeviceParams{}))(t); d.Status != "accepted" {
		t.Errorf("status after a refused change = %s, want accepted", d.Status)
	}
	if err := w.SetDeviceStatus(ctx, id, reject, client.SetDeviceStatusParams{}); err != nil {
		t.Errorf("SetDeviceStatus without If-Match: %v", err)
	}
	refused(t, "SetDeviceStatus to nonsense", w.SetDeviceStatus(ctx, id, client.NewStatus{Status: "pending"}, client.SetDeviceStatusParams{}), 422, "invalid")
}

func TestPreauthorized(t *testing.T) {
	w := servertest.Start(t)
	d := w.Device("known") // a key to expect
	key := must(w.ShowDevice(t.Context(), w.ID("known"), client.ShowDeviceParams{}))(t).Keys[0].PEM
	named := must(w.PreauthorizeDevice(t.Context(), client.NewDevice{Identity: map[string]any{"mac": "expected"}, Key: key}, client.PreauthorizeDeviceParams{}))(t)
	d.Identity = `{"mac":"expected"}`
	if err := d.Enroll(t.Context()); err != nil {
		t.Errorf("first request of a preauthorized device: %v", err)
	}
	if got := w.ID("expected"); got != named.ID {
		t.Errorf("device is %s, want %s", got, named.ID)
	}
	refused(t, "PreauthorizeDevice twice", second(w.PreauthorizeDevice(t.Context(), client.NewDevice{Identity: map[string]any{"mac": "expected"}, Key: key}, client.PreauthorizeDeviceParams{})), 409, "conflict")
	refused(t, "PreauthorizeDevice without identity", second(w.PreauthorizeDevice(t.Context(), client.NewDevice{Identity: map[string]any{}, Key: key}, client.PreauthorizeDeviceParams{})), 422, "invalid")
	refused(t, "PreauthorizeDevice without a key", second(w.PreauthorizeDevice(t.Context(), client.NewDevice{Identity: map[string]any{"mac": "x"}, Key: "no PEM"}, client.PreauthorizeDeviceParams{})), 422, "invalid")
}

func TestReleases(t *testing.T) {
	w := servertest.Start(t)
	ctx := t.Context()
	file := servertest.Artifact(t, "r1", "rpi", []byte("image"))
	a := must(w.UploadArtifact(ctx, bytes.NewReader(file), client.UploadArtifactParams{Note: "first"}))(t)
	if a.Release != "r1" || a.Size != int64(len(file)) || a.Note != "first" || a.PayloadType != "rootfs-image" || a.Signed {
		t.Errorf("UploadArtifact() = %+v", a)
	}
	if again := must(w.UploadArtifact(ctx, bytes.NewReader(file), client.UploadArtifactParams{}))(t); again.ID != a.ID {
		t.Errorf("the same bytes again are artifact %s, want %s", again.ID, a.ID)
	}
	refused(t, "another artifact of that name and type", second(w.UploadArtifact(ctx, bytes.NewReader(servertest.Artifact(t, "r1", "rpi", []byte("other"))), client.UploadArtifactParams{})), 409, "conflict")
	refused(t, "a torn upload", second(w.UploadArtifact(ctx, bytes.NewReader(file[:len(file)-600]), client.UploadArtifactParams{})), 422, "artifact_refused")
	refused(t, "an upload of something else", second(w.UploadArtifact(ctx, strings.NewReader("hello"), client.UploadArtifactParams{})), 422, "artifact_refused")

	if got := read(t, w, a.ID, ""); !bytes.Equal(got, file) {
		t.Errorf("download has %d bytes, want the %d that were uploaded", len(got), len(file))
	}
	if got := read(t, w, a.ID, "bytes=10-19"); !bytes.Equal(got, file[10:20]) {
		t.Errorf("range = %q, want %q", got, file[10:20])
	}
	r := must(w.ShowRelease(ctx, "r1"))(t)
	if r.Name != "r1" || len(r.Artifacts) != 1 || r.Artifacts[0].SHA256 != a.SHA256 {
		t.Errorf("ShowRelease(r1) = %+v", r)
	}
	if page := must(w.ListReleases(ctx, client.ListReleasesParams{}))(t); len(page.Items) != 1 || page.Items[0].Name != "r1" {
		t.Errorf("ListReleases() = %+v", page)
	}
	_, _ = w.Accepted("a")
	d := deploy(t, w, "r1", everyone)
	refused(t, "DeleteArtifact in use", w.DeleteArtifact(ctx, a.ID), 409, "in_use")
	must(w.AbortDeployment(ctx, d.ID, client.AbortDeploymentParams{}))(t)
	if err := w.DeleteArtifact(ctx, a.ID); err != nil {
		t.Fatal(err)
	}
	refused(t, "ShowRelease of a deleted one", second(w.ShowRelease(ctx, "r1")), 404, "not_found")
	refused(t, "DownloadArtifact of a deleted one", second(w.DownloadArtifact(ctx, a.ID, client.DownloadArtifactParams{})), 404, "not_found")
	refused(t, "DeleteArtifact of none", w.DeleteArtifact(ctx, a.ID), 404, "not_found")
}

func read(t *testing.T, w *servertest.World, id, span string) []byte {
	t.Helper()
	body := must(w.DownloadArtifact(t.Context(), id, client.DownloadArtifactParams{Range: span}))(t)
	defer body.Close()
	return must(io.ReadAll(body))(t)
}

func TestDeployment(t *testing.T) {
	w := servertest.Start(t)
	ctx := t.Context()
	w.Release("r1", "rpi")
	good, goodID := w.Accepted("good")
	bad, badID := w.Accepted("bad")
	d := deploy(t, w, "r1", everyone)
	if d.Size != 2 || d.Status != "active" || !d.Target.All || d.CreatedBy != "operator" {
		t.Errorf("CreateDeployment() = %+v", d)
	}
	finish(t, good, success...)
	id := finish(t, bad, deployment.Downloading, deployment.Failed)
	if err := bad.Log(ctx, id, "disk is broken"); err != nil {
		t.Fatal(err)
	}
	d = must(w.ShowDeployment(ctx, d.ID))(t)
	if d.Status != "finished" || d.Counts["done"] != 1 || d.Counts["failed"] != 1 || d.FinishedAt == nil {
		t.Errorf("ShowDeployment() = %+v, want it finished with one done and one failed", d)
	}
	failed := must(w.ListAssignments(ctx, d.ID, client.ListAssignmentsParams{State: "failed"}))(t)
	if len(failed.Items) != 1 || failed.Items[0].Device != badID || !failed.Items[0].HasLog {
		t.Errorf("failed assignments = %+v, want that of %s with a log", failed, badID)
	}
	var steps []string
	for _, s := range must(w.ListTransitions(ctx, d.ID, goodID))(t).Items {
		steps = append(steps, s.To)
	}
	if got := strings.Join(steps, " "); got != "offered downloading installing rebooting done" {
		t.Errorf("steps = %s", got)
	}
	log := must(w.ShowLog(ctx, d.ID, badID))(t)
	defer log.Close()
	if text := must(io.ReadAll(log))(t); !strings.Contains(string(text), "disk is broken") {
		t.Errorf("log = %q", text)
	}
	if r := must(w.RetryDeployment(ctx, d.ID, client.RetryDeploymentParams{}))(t); r.Devices != 1 {
		t.Errorf("RetryDeployment() = %+v, want 1 device", r)
	}
	if d = must(w.ShowDeployment(ctx, d.ID))(t); d.Status != "active" {
		t.Errorf("status after a retry = %s, want active", d.Status)
	}
	if d = must(w.AbortDeployment(ctx, d.ID, client.AbortDeploymentParams{}))(t); d.Status != "aborted" {
		t.Errorf("status after an abort = %s, want aborted", d.Status)
	}
	refused(t, "AbortDeployment twice", second(w.AbortDeployment(ctx, d.ID, client.AbortDeploymentParams{})), 409, "conflict")
	refused(t, "ShowLog of none", second(w.ShowLog(ctx, d.ID, goodID)), 404, "not_found")
	refused(t, "ShowDeployment of none", second(w.ShowDeployment(ctx, "none")), 404, "not_found")
	refused(t, "AbortDeployment of none", second(w.AbortDeployment(ctx, "none", client.AbortDeploymentParams{})), 404, "not_found")
	refused(t, "RetryDeployment of none", second(w.RetryDeployment(ctx, "none", client.RetryDeploymentParams{})), 404, "not_found")
	refused(t, "ListAssignments of none", second(w.ListAssignments(ctx, "none", client.ListAssignmentsParams{})), 404, "not_found")
	refused(t, "ListTransitions of none", second(w.ListTransitions(ctx, "none", goodID)), 404, "not_found")
}

func TestDeploymentRefused(t *testing.T) {
	w := servertest.Start(t)
	w.Release("r1", "rpi")
	w.Accepted("a")
	for name, d := range map[string]client.NewDeployment{
		"no target":        {Release: "r1"},
		"two targets":      {Release: "r1", Target: client.Target{All: true, Type: "rpi"}},
		"a bad filter":     {Release: "r1", Target: client.Target{Filter: "((("}},
		"no release said":  {Target: everyone},
		"negative retries": {Release: "r1", Target: everyone, Retries: -1},
		"endless name":     {Release: "r1", Target: everyone, Name: strings.Repeat("x", 300)},
		"too many devices": {Release: "r1", Target: client.Target{Devices: make([]string, 10_001)}},
		"too many retries": {Release: "r1", Target: everyone, Retries: 101},
	} {
		refused(t, name, second(w.CreateDeployment(t.Context(), d, client.CreateDeploymentParams{})), 422, "invalid")
	}
	refused(t, "no such release", second(w.CreateDeployment(t.Context(), client.NewDeployment{Release: "r2", Target: everyone}, client.CreateDeploymentParams{})), 404, "not_found")
	if page := must(w.ListDeployments(t.Context(), client.ListDeploymentsParams{}))(t); len(page.Items) != 0 {
		t.Errorf("refused deployments are there: %+v", page)
	}
}

func TestPages(t *testing.T) {
	w := servertest.Start(t)
	ctx := t.Context()
	want := map[string]bool{}
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		w.Device(name)
		want[name] = true
	}
	p := client.ListDevicesParams{Limit: 2}
	pages := 0
	for {
		page := must(w.ListDevices(ctx, p))(t)
		pages++
		for _, d := range page.Items {
			name := d.Identity["mac"].(string)
			if !want[name] {
				t.Errorf("device %s is there twice", name)
			}
			delete(want, name)
		}
		if p.Cursor = page.NextCursor; p.Cursor == "" {
			break
		}
	}
	if len(want) > 0 || pages != 3 {
		t.Errorf("%d pages left out %v; want 3 pages and nothing left out", pages, want)
	}
	refused(t, "a page of 501", second(w.ListDevices(ctx, client.ListDevicesParams{Limit: 501})), 422, "invalid")

	resp := raw(t, w.Client, http.MethodGet, "/api/v1/devices?limit=2&status=pending")
	link := resp.Header.Get("Link")
	next, rel, _ := strings.Cut(strings.TrimPrefix(link, "<"), ">")
	if rel != `; rel="next"` {
		t.Fatalf("Link = %q", link)
	}
	if resp := raw(t, w.Client, http.MethodGet, next); resp.StatusCode != 200 {
		t.Errorf("GET %s = %s", next, resp.Status)
	}
}

func raw(t *testing.T, c *client.Client, method, path string) *http.Response {
	t.Helper()
	req := must(http.NewRequestWithContext(t.Context(), method, c.Server+path, nil))(t)
	req.Header.Set("Authorization", "Bearer "+c.Token)
	resp := must(http.DefaultClient.Do(req))(t)
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func TestIdempotency(t *testing.T) {
	w := servertest.Start(t)
	ctx := t.Context()
	w.Release("r1", "rpi")
	w.Accepted("a")
	body := client.NewDeployment{Release: "r1", Target: everyone}
	key := client.CreateDeploymentParams{IdempotencyKey: "k1"}
	first := must(w.CreateDeployment(ctx, body, key))(t)
	again := must(w.CreateDeployment(ctx, body, key))(t)
	if again.ID != first.ID {
		t.Errorf("replay made deployment %s, want %s again", again.ID, first.ID)
	}
	other := body
	other.Name = "other"
	refused(t, "the key with another body", second(w.CreateDeployment(ctx, other, key)), 422, "idempotency_mismatch")
	refused(t, "the key with another path", second(w.AbortDeployment(ctx, first.ID, client.AbortDeploymentParams{IdempotencyKey: "k1"})), 422, "idempotency_mismatch")
	if n := must(w.As("deploy").CreateDeployment(ctx, body, key))(t); n.ID == first.ID {
		t.Error("another token's key is the same key")
	}
	if page := must(w.ListDeployments(ctx, client.ListDeploymentsParams{}))(t); len(page.Items) != 2 {
		t.Errorf("%d deployments, want 2", len(page.Items))
	}
	// A refused request is not kept: it may be mended and sent again.
	late := client.NewDeployment{Release: "r2", Target: everyone}
	k2 := client.CreateDeploymentParams{IdempotencyKey: "k2"}
	refused(t, "a release that comes later", second(w.CreateDeployment(ctx, late, k2)), 404, "not_found")
	w.Release("r2", "rpi")
	must(w.CreateDeployment(ctx, late, k2))(t)
}

func TestScopes(t *testing.T) {
	w := servertest.Start(t)
	w.Release("r1", "rpi")
	_, dev := w.Accepted("a")
	d := deploy(t, w, "r1", everyone)
	file := servertest.Artifact(t, "r2", "rpi", []byte("x"))
	// each operation, and the one scope that opens it; true when it is through
	// the door, whatever it says then
	calls := map[string]struct {
		scope string
		do    func(context.Context, *client.Client) error
	}{
		"whoami": {"read", func(ctx context.Context, c *client.Client) error { return second(c.Whoami(ctx)) }},
		"list-devices": {"read", func(ctx context.Context, c *client.Client) error {
			return second(c.ListDevices(ctx, client.ListDevicesParams{}))
		}},
		"count-devices": {"read", func(ctx context.Context, c *client.Client) error { return second(c.CountDevices(ctx)) }},
		"show-device": {"read", func(ctx context.Context, c *client.Client) error {
			return second(c.ShowDevice(ctx, dev, client.ShowDeviceParams{}))
		}},
		"list-releases": {"read", func(ctx context.Context, c *client.Client) error {
			return second(c.ListReleases(ctx, client.ListReleasesParams{}))
		}},
		"show-release": {"read", func(ctx context.Context, c *client.Client) error { return second(c.ShowRelease(ctx, "r1")) }},
		"list-deployments": {"read", func(ctx context.Context, c *client.Client) error {
			return second(c.ListDeployments(ctx, client.ListDeploymentsParams{}))
		}},
		"show-deployment": {"read", func(ctx context.Context, c *client.Client) error { return second(c.ShowDeployment(ctx, d.ID)) }},
		"list-assignments": {"read", func(ctx context.Context, c *client.Client) error {
			return second(c.ListAssignments(ctx, d.ID, client.ListAssignmentsParams{}))
		}},
		"list-transitions":      {"read", func(ctx context.Context, c *client.Client) error { return second(c.ListTransitions(ctx, d.ID, dev)) }},
		"show-log":              {"read", func(ctx context.Context, c *client.Client) error { return second(c.ShowLog(ctx, d.ID, dev)) }},
		"list-enrolment-tokens": {"read", func(ctx context.Context, c *client.Client) error { return second(c.ListEnrolmentTokens(ctx)) }},
		"download-artifact": {"read", func(ctx context.Context, c *client.Client) error {
			return second(c.DownloadArtifact(ctx, "none", client.DownloadArtifactParams{}))
		}},
		"watch-events": {"read", func(ctx context.Context, c *client.Client) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			return second(c.WatchEvents(ctx, client.WatchEventsParams{}))
		}},
		"create-deployment": {"deploy", func(ctx context.Context, c *client.Client) error {
			return second(c.CreateDeployment(ctx, client.NewDeployment{Release: "none", Target: everyone}, client.CreateDeploymentParams{}))
		}},
		"abort-deployment": {"deploy", func(ctx context.Context, c *client.Client) error {
			return second(c.AbortDeployment(ctx, "none", client.AbortDeploymentParams{}))
		}},
		"retry-deployment": {"deploy", func(ctx context.Context, c *client.Client) error {
			return second(c.RetryDeployment(ctx, "none", client.RetryDeploymentParams{}))
		}},
		"upload-artifact": {"release", func(ctx context.Context, c *client.Client) error {
			return second(c.UploadArtifact(ctx, bytes.NewReader(file), client.UploadArtifactParams{}))
		}},
		"delete-artifact": {"release", func(ctx context.Context, c *client.Client) error { return c.DeleteArtifact(ctx, "none") }},
		"preauthorize-device": {"device", func(ctx context.Context, c *client.Client) error {
			return second(c.PreauthorizeDevice(ctx, client.NewDevice{Identity: map[string]any{"a": "b"}, Key: "x"}, client.PreauthorizeDeviceParams{}))
		}},
		"set-device-status": {"device", func(ctx context.Context, c *client.Client) error {
			return c.SetDeviceStatus(ctx, "none", client.NewStatus{Status: "accepted"}, client.SetDeviceStatusParams{})
		}},
		"decommission-device": {"device", func(ctx context.Context, c *client.Client) error { return c.DecommissionDevice(ctx, "none") }},
		"create-enrolment-token": {"device", func(ctx context.Context, c *client.Client) error {
			return second(c.CreateEnrolmentToken(ctx, client.NewEnrolmentToken{Name: "x"}))
		}},
		"delete-enrolment-token": {"device", func(ctx context.Context, c *client.Client) error { return c.DeleteEnrolmentToken(ctx, "none") }},
		"list-tokens":            {"admin", func(ctx context.Context, c *client.Client) error { return second(c.ListTokens(ctx)) }},
		"create-token": {"admin", func(ctx context.Context, c *client.Client) error {
			return second(c.CreateToken(ctx, client.NewToken{Name: "x", Scopes: []string{"read"}}))
		}},
		"delete-token": {"admin", func(ctx context.Context, c *client.Client) error { return c.DeleteToken(ctx, "none") }},
	}
	everyOperation(t, calls)
	clients := map[string]*client.Client{}
	for _, s := range []string{"read", "deploy", "release", "device", "admin"} {
		clients[s] = w.As(s)
	}
	for name, call := range calls {
		refused(t, name+" without a token", call.do(t.Context(), &client.Client{Server: w.Server}), 401, "unauthenticated")
		refused(t, name+" with a wrong token", call.do(t.Context(), &client.Client{Server: w.Server, Token: "moult_pat_wrong"}), 401, "unauthenticated")
		for scope, c := range clients {
			err := call.do(t.Context(), c)
			if through := scope == call.scope || call.scope == "read" || scope == "admin"; through {
				if code := client.Code(err); code == "forbidden" || code == "unauthenticated" || code == "internal" {
					t.Errorf("%s with scope %s = %v, want it let through", name, scope, err)
				}
			} else {
				refused(t, name+" with scope "+scope, err, 403, "forbidden")
			}
		}
	}
}

func TestTokens(t *testing.T) {
	w := servertest.Start(t)
	ctx := t.Context()
	made := must(w.CreateToken(ctx, client.NewToken{Name: "ci", Scopes: []string{"deploy"}, TTLSeconds: 3600}))(t)
	if made.Secret == "" || made.ExpiresAt == nil {
		t.Errorf("CreateToken() = %+v, want a secret and an end", made)
	}
	ci := &client.Client{Server: w.Server, Token: made.Secret}
	if who := must(ci.Whoami(ctx))(t); who.ID != made.ID || who.Name != "ci" || len(who.Scopes) != 1 {
		t.Errorf("Whoami() = %+v", who)
	}
	list := must(w.ListTokens(ctx))(t)
	for _, tok := range list.Items {
		if tok.Secret != "" {
			t.Errorf("ListTokens shows the secret of %s", tok.Name)
		}
	}
	if len(list.Items) != 2 {
		t.Errorf("%d tokens, want the operator's and ci's", len(list.Items))
	}
	if err := w.DeleteToken(ctx, made.ID); err != nil {
		t.Fatal(err)
	}
	refused(t, "Whoami with a deleted token", second(ci.Whoami(ctx)), 401, "unauthenticated")
	refused(t, "DeleteToken twice", w.DeleteToken(ctx, made.ID), 404, "not_found")
	refused(t, "CreateToken with an unknown scope", second(w.CreateToken(ctx, client.NewToken{Name: "x", Scopes: []string{"root"}})), 422, "invalid")
	refused(t, "CreateToken without a scope", second(w.CreateToken(ctx, client.NewToken{Name: "x", Scopes: []string{}})), 422, "invalid")
}

func TestEnrolmentTokens(t *testing.T) {
	w := servertest.Start(t)
	ctx := t.Context()
	made := must(w.CreateEnrolmentToken(ctx, client.NewEnrolmentToken{Name: "line 1", Uses: 2}))(t)
	if made.Secret == "" || made.Uses != 2 {
		t.Errorf("CreateEnrolmentToken() = %+v", made)
	}
	list := must(w.ListEnrolmentTokens(ctx))(t)
	if len(list.Items) != 1 || list.Items[0].ID != made.ID || list.Items[0].Secret != "" {
		t.Errorf("ListEnrolmentTokens() = %+v", list)
	}
	if err := w.DeleteEnrolmentToken(ctx, made.ID); err != nil {
		t.Fatal(err)
	}
	refused(t, "DeleteEnrolmentToken twice", w.DeleteEnrolmentToken(ctx, made.ID), 404, "not_found")
	refused(t, "negative uses", second(w.CreateEnrolmentToken(ctx, client.NewEnrolmentToken{Name: "x", Uses: -1})), 422, "invalid")
}
