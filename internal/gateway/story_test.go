package gateway

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/agent/agenttest"
	"github.com/moult-ota/moult/internal/api/client"
	"github.com/moult-ota/moult/internal/child"
	"github.com/moult-ota/moult/internal/child/childtest"
	"github.com/moult-ota/moult/internal/child/dfu"
	"github.com/moult-ota/moult/internal/install/mcu"
	"github.com/moult-ota/moult/internal/mcupayload"
	"github.com/moult-ota/moult/internal/server/servertest"
	"github.com/moult-ota/moult/mcuboot"
)

var (
	old  = childtest.NewImage("1.0.0", 40<<10, nil)
	next = childtest.NewImage("2.0.0", 50<<10, nil)
)

// pack makes an artifact of an image, signed by agenttest's signer.
func pack(s *agenttest.Signer, name, deviceType string, image child.Image) []byte {
	im, _, err := mcuboot.Parse(image.Bytes)
	if err != nil {
		panic(err)
	}
	return s.Artifact(agenttest.Image{Name: name, Size: 1}, func(spec *artifact.Spec) {
		spec.PayloadType, spec.DeviceTypes = mcu.PayloadType, []string{deviceType}
		spec.Files = []artifact.Source{{Name: "zephyr.signed.bin", Size: int64(len(image.Bytes)), Open: func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(image.Bytes)), nil
		}}}
		spec.Provides, spec.Clears = mcupayload.Provides(mcupayload.Type, im), []string{mcupayload.Type + ".*"}
	})
}

// A site is a server, and a gateway with children.
type site struct {
	*testing.T
	*servertest.World
	signer *agenttest.Signer
	dir    string
	file   map[string]any
	usb    dfu.Bus // nil: this computer's
}

func newSite(t *testing.T) *site { return newSiteOf(t, servertest.Start(t)) }

// newSiteOf is a site of a server.
func newSiteOf(t *testing.T, w *servertest.World) *site {
	t.Helper()
	s := &site{T: t, World: w, signer: agenttest.NewSigner(), dir: t.TempDir()}
	token, err := s.CreateEnrolmentToken(t.Context(), client.NewEnrolmentToken{Name: "site"})
	if err != nil {
		t.Fatal(err)
	}
	image := filepath.Join(s.dir, "image.pub")
	key := filepath.Join(s.dir, "release.pub")
	s.put(key, s.signer.PEM)
	s.put(image, childtest.PEM())
	s.file = map[string]any{
		"id": "g1", "servers": []string{s.Server}, "token": token.Secret, "verify_keys": []string{key},
		"state_dir": filepath.Join(s.dir, "state"), "poll": "200ms", "retry": "50ms", "retry_max": "500ms", "children": []any{},
	}
	return s
}

func (s *site) put(path string, text []byte) {
	s.Helper()
	if err := os.WriteFile(path, text, 0o700); err != nil {
		s.Fatal(err)
	}
}

// child adds one to the file.
func (s *site) child(id string, settings map[string]any) {
	settings["id"] = id
	if settings["device_type"] == nil {
		settings["device_type"] = "board"
	}
	settings["image_keys"] = []string{filepath.Join(s.dir, "image.pub")}
	settings["settle"] = "100ms"
	s.file["children"] = append(s.file["children"].([]any), settings)
}

// board adds a child behind exec's script, and returns its flash.
func (s *site) board(id string, settings map[string]any) string {
	s.Helper()
	flash := filepath.Join(s.dir, id)
	if err := os.Mkdir(flash, 0o700); err != nil {
		s.Fatal(err)
	}
	s.put(filepath.Join(flash, "primary"), old.Bytes)
	s.put(filepath.Join(flash, "primary.version"), []byte(old.Version.String()))
	s.put(filepath.Join(flash, "primary.hash"), []byte(hex.EncodeToString(old.Hash[:])))
	script, err := filepath.Abs("../child/exec/testdata/board.sh")
	if err != nil {
		s.Fatal(err)
	}
	settings["driver"], settings["program"], settings["address"] = "exec", script, flash
	s.child(id, settings)
	return flash
}

// config writes the file and reads it, as the program does.
func (s *site) config() *Config {
	s.Helper()
	text, err := json.Marshal(s.file)
	if err != nil {
		s.Fatal(err)
	}
	path := filepath.Join(s.dir, "gateway.json")
	s.put(path, text)
	c, err := ReadConfig(path, true, nil)
	if err != nil {
		s.Fatal(err)
	}
	for _, k := range c.Children {
		k.usb = s.usb
	}
	return c
}

// run runs the gateway until the function that it returns is called.
func (s *site) run() (stop func()) {
	s.Helper()
	g, err := New(s.config(), slog.New(slog.NewTextHandler(testLog{s.T}, nil)))
	if err != nil {
		s.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cancel()
			if err := <-done; err != nil {
				s.Errorf("Run = %v", err)
			}
		}
	}
	s.Cleanup(stop)
	return stop
}

type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	if os.Getenv("GATEWAY_LOG") != "" {
		l.t.Logf("gateway: %s", bytes.TrimSpace(p))
	}
	return len(p), nil
}

// device waits until the server knows a child.
func (s *site) device(id string) (found client.Device) {
	s.Helper()
	s.Eventually("the server knows child "+id, func() bool {
		page, err := s.ListDevices(s.Context(), client.ListDevicesParams{Limit: 500})
		if err != nil {
			s.Fatal(err)
		}
		for _, d := range page.Items {
			if d.Identity["child"] == id && d.Identity["gateway"] == "g1" && d.Status == "accepted" && d.Type != "" {
				found = d
				return true
			}
		}
		return false
	})
	return found
}

// deploy sends a release to all devices of a type.
func (s *site) deploy(release, deviceType string, image child.Image) string {
	s.Helper()
	if _, err := s.UploadArtifact(s.Context(), bytes.NewReader(pack(s.signer, release, deviceType, image)), client.UploadArtifactParams{}); err != nil {
		s.Fatal(err)
	}
	d, err := s.CreateDeployment(s.Context(), client.NewDeployment{Release: release, Target: client.Target{Type: deviceType}}, client.CreateDeploymentParams{})
	if err != nil {
		s.Fatal(err)
	}
	return d.ID
}

// path waits for the end of a child's part, and returns its states.
func (s *site) path(deployment, device string) (states, detail string) {
	s.Helper()
	end := time.Now().Add(3 * time.Minute) // a gateway asks a server that went away again in one
	for ; ; time.Sleep(20 * time.Millisecond) {
		page, err := s.ListTransitions(s.Context(), deployment, device)
		if err != nil {
			s.Fatal(err)
		}
		var words []string
		for _, x := range page.Items {
			words, detail = append(words, x.To), x.Detail
		}
		states = strings.Join(words, " ")
		for _, last := range []string{"done", "failed", "rolled-back", "refused"} {
			if strings.HasSuffix(states, last) {
				return states, detail
			}
		}
		if time.Now().After(end) {
			s.Fatalf("device %s in %s came no further than %q", device, deployment, states)
		}
	}
}

const good = "offered downloading installing trying done"

// TestStory: children are devices of their own, and one deployment ends as it
// did for each.
func TestStory(t *testing.T) {
	s := newSite(t)
	flash := s.board("fine", map[string]any{})
	s.board("sick", map[string]any{"self_test": s.program("test", `echo "$1: no light" >&2; exit 1`)})
	s.board("other", map[string]any{"class_id": "12345678-1234-1234-1234-123456789abc"})
	s.board("full", map[string]any{"room": 1000})
	s.run()
	ids := map[string]string{}
	for _, id := range []string{"fine", "sick", "other", "full"} {
		ids[id] = s.device(id).ID
	}
	s.wantDevice(ids["fine"], "1.0.0")
	s.wantParent(ids["fine"])
	d := s.deploy("fw-2", "board", next)
	for _, want := range []struct{ id, states, detail, version string }{
		{"fine", good, "", "2.0.0"},
		{"sick", "offered downloading installing rolled-back", "no light", "1.0.0"},
		{"other", "offered downloading refused", "class id", "1.0.0"},
		{"full", "offered downloading refused", "room for", "1.0.0"},
	} {
		states, detail := s.path(d, ids[want.id])
		if states != want.states || !strings.Contains(detail, want.detail) {
			t.Errorf("child %s: %q (%s), want %q (%s)", want.id, states, detail, want.states, want.detail)
		}
		s.wantDevice(ids[want.id], want.version)
	}
	got, err := os.ReadFile(filepath.Join(flash, "primary"))
	if err != nil || !bytes.Equal(got, next.Bytes) {
		t.Errorf("the child runs %d bytes, %v; want the image's %d", len(got), err, len(next.Bytes))
	}
}

func (s *site) program(name, script string) string {
	path := filepath.Join(s.dir, name)
	s.put(path, []byte("#!/bin/sh\n"+script+"\n"))
	return path
}

// wantDevice compares what the server says of a child.
func (s *site) wantDevice(id, version string) {
	s.Helper()
	s.Eventually("inventory of "+id+" says version "+version, func() bool {
		d, err := s.ShowDevice(s.Context(), id, client.ShowDeviceParams{})
		if err != nil {
			s.Fatal(err)
		}
		inv := d.Inventory
		return d.Provides["mcuboot-image.version"] == version && inv["gateway"] == "g1" && inv["running_version"] == version &&
			strings.HasSuffix(fmt.Sprint(inv["running_slot"]), " confirmed")
	})
}

// wantParent fails unless the server has a child under its gateway, in the end.
func (s *site) wantParent(id string) {
	s.Helper()
	s.Eventually("the child stands under its gateway", func() bool {
		d, err := s.ShowDevice(s.Context(), id, client.ShowDeviceParams{})
		if err != nil {
			s.Fatal(err)
		}
		g, err := s.ShowDevice(s.Context(), d.Parent, client.ShowDeviceParams{})
		return d.Parent != "" && err == nil && g.Identity["gateway_id"] == "g1" && g.Type == ownType
	})
}

// TestKeysStay: a child is the same device after the gateway's restart, and
// nobody else on the gateway can read its key.
func TestKeysStay(t *testing.T) {
	s := newSite(t)
	s.board("c1", map[string]any{})
	stop := s.run()
	first := s.device("c1")
	stop()
	s.run()
	if again := s.device("c1"); again.ID != first.ID {
		t.Errorf("after a restart it is device %s, it was %s", again.ID, first.ID)
	}
	fi, err := os.Stat(filepath.Join(s.dir, "state", "children", "c1", "device.key"))
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("its key: %v, %v, want mode 0600", fi, err)
	}
}

// TestLateChild: one that does not answer yet keeps nobody waiting, and
// enrols when it does.
func TestLateChild(t *testing.T) {
	s := newSite(t)
	flash := s.board("late", map[string]any{})
	s.board("there", map[string]any{})
	off := filepath.Join(flash, "off")
	s.put(off, nil)
	s.run()
	s.device("there")
	page, err := s.ListDevices(t.Context(), client.ListDevicesParams{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range page.Items {
		if d.Identity["child"] == "late" {
			t.Fatalf("the child that does not answer is there: %+v", d)
		}
	}
	if err := os.Remove(off); err != nil {
		t.Fatal(err)
	}
	s.device("late")
}

// TestGone: a child that is unplugged during its update has failed, and that
// is what the server knows.
func TestGone(t *testing.T) {
	s := newSite(t)
	flash := s.board("c1", map[string]any{"away": "300ms", "reset_command": s.program("unplug", `touch "$2/off"`)})
	s.run()
	id := s.device("c1").ID
	d := s.deploy("fw-2", "board", next)
	if states, detail := s.path(d, id); states != "offered downloading installing failed" || !strings.Contains(detail, "does not answer") {
		t.Errorf("%q (%s)", states, detail)
	}
	_ = flash
}

// TestDownloadedOnce: two children of one type, one download.
func TestDownloadedOnce(t *testing.T) {
	s := newSite(t)
	s.board("c1", map[string]any{})
	s.board("c2", map[string]any{})
	s.run()
	one, two := s.device("c1").ID, s.device("c2").ID
	d := s.deploy("fw-2", "board", next)
	for _, id := range []string{one, two} {
		if states, detail := s.path(d, id); states != good {
			t.Errorf("%q (%s)", states, detail)
		}
	}
	files, err := os.ReadDir(filepath.Join(s.dir, "state", "upstream", "artifacts"))
	if err != nil || len(files) != 1 {
		t.Errorf("the cache has %v, %v; want one artifact", files, err)
	}
}

// TestProgrammedByHand: what somebody else puts on a child is what the server
// hears of, and what is offered next.
func TestProgrammedByHand(t *testing.T) {
	s := newSite(t)
	flash := s.board("c1", map[string]any{})
	s.run()
	id := s.device("c1").ID
	d := s.deploy("fw-2", "board", next)
	if states, detail := s.path(d, id); states != good {
		t.Fatalf("%q (%s)", states, detail)
	}
	for name, text := range map[string]string{"primary": string(old.Bytes), "primary.version": "1.0.0", "primary.hash": hex.EncodeToString(old.Hash[:])} {
		s.put(filepath.Join(flash, name), []byte(text))
	}
	s.Eventually("the server knows that the old image runs", func() bool {
		dev, err := s.ShowDevice(t.Context(), id, client.ShowDeviceParams{})
		if err != nil {
			t.Fatal(err)
		}
		return dev.Provides["mcuboot-image.version"] == "1.0.0" && dev.Release == "unknown"
	})
	again, err := s.CreateDeployment(t.Context(), client.NewDeployment{Release: "fw-2", Target: client.Target{Type: "board"}}, client.CreateDeploymentParams{})
	if err != nil {
		t.Fatal(err)
	}
	if states, detail := s.path(again.ID, id); states != good {
		t.Errorf("%q (%s)", states, detail)
	}
}

// TestCommands: programs for what a bus cannot do.
func TestCommands(t *testing.T) {
	s := newSite(t)
	board, err := filepath.Abs("../child/exec/testdata/board.sh")
	if err != nil {
		t.Fatal(err)
	}
	flash := s.board("c1", map[string]any{
		"version_command": s.program("version", `cat "$2/primary.version"`),
		"reset_command":   s.program("reset", `echo reset >>"$2/calls"; MUTE=1 MOULT_ADDRESS=$2 exec `+board+` reset`),
		"confirm_command": s.program("confirm", `echo confirm >>"$2/calls"`),
	})
	s.file["children"].([]any)[0].(map[string]any)["program"] = s.program("bus", `case $1 in
state) echo version=0.0.0;; reset|confirm) exit 1;; *) MUTE=1 exec `+board+` "$@";; esac`)
	s.run()
	id := s.device("c1").ID
	d := s.deploy("fw-2", "board", next)
	if states, detail := s.path(d, id); states != good {
		t.Errorf("%q (%s)", states, detail)
	}
	calls, err := os.ReadFile(filepath.Join(flash, "calls"))
	if err != nil || string(calls) != "reset\nconfirm\n" {
		t.Errorf("calls %q, %v; want one reset and one confirmation", calls, err)
	}
}
