package thirdparty_test

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/wire/menderapi"
)

// TestMenderClient lets mender-client 3.4.0 join and install a file; then it
// has to leave that file alone: when another key signed, when the installer
// is unknown, and when the operator cancels after the new file was in place.
func TestMenderClient(t *testing.T) {
	signer, public := newKey(t)
	stranger, _ := newKey(t)
	s := startServer(t)
	startClient(t, s.url, public)
	id := s.device(t)
	if err := s.SetDeviceStatus(ctx, id, device.Accepted, "", ""); err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(t.TempDir(), "motd")
	files := func(text string) map[string]string {
		return map[string]string{"dest_dir": filepath.Dir(target) + "\n", "filename": "motd\n", "permissions": "640\n", "motd": text}
	}
	payload := strings.Repeat(rand.Text()+rand.Text(), 1000)

	d := s.deploy(t, id, artifact.Spec{Name: "release-2", PayloadType: "single-file", Signer: signer}, files(payload))
	ends(t, s, d, deployment.Done)
	wantFile(t, target, payload)
	waitFor(t, "the client to say what it runs", func() bool { return installed(t, s, id) == "release-2" })
	for _, want := range []string{
		"401 POST " + menderapi.AuthPath, "200 POST " + menderapi.AuthPath, "200 PUT " + menderapi.InventoryPath,
		"204 POST " + menderapi.NextPath, "200 POST " + menderapi.NextPath, "204 PUT " + menderapi.StatusPath(d),
	} {
		if !s.saw(want) {
			t.Errorf("the client never had %s", want)
		}
	}

	t.Run("signed by another key", func(t *testing.T) {
		d := s.deploy(t, id, artifact.Spec{Name: "release-3", PayloadType: "single-file", Signer: stranger}, files("evil"))
		ends(t, s, d, deployment.Failed)
		wantFile(t, target, payload)
	})
	t.Run("unknown installer", func(t *testing.T) {
		d := s.deploy(t, id, artifact.Spec{Name: "release-4", PayloadType: "no-such-installer", Signer: signer}, files("x"))
		ends(t, s, d, deployment.Failed)
		waitFor(t, "the log", func() bool { return s.state(t, d).HasLog })
		if log, err := s.DeploymentLog(ctx, d, id); err != nil || !strings.Contains(string(log), "no-such-installer") {
			t.Errorf("log = %s, %v, want it to name the installer", log, err)
		}
	})
	t.Run("canceled after the install", func(t *testing.T) {
		wait := artifact.Script{Name: "ArtifactInstall_Leave_00_wait", Body: []byte("#!/bin/sh\nsleep 3\n")}
		d := s.deploy(t, id, artifact.Spec{Name: "release-5", PayloadType: "single-file", Signer: signer,
			Scripts: []artifact.Script{wait}}, files("canceled"))
		waitFor(t, "the new file", func() bool { text, _ := os.ReadFile(target); return string(text) == "canceled" })
		if err := s.AbortDeployment(ctx, d); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the old file again", func() bool { text, _ := os.ReadFile(target); return string(text) == payload })
		ends(t, s, d, deployment.Canceled)
		if want := "409 PUT " + menderapi.StatusPath(d); !s.saw(want) {
			t.Errorf("the client never had %s", want)
		}
	})
	if got := installed(t, s, id); got != "release-2" {
		t.Errorf("in the end the client runs %s, want release-2", got)
	}
}

// ends waits until the device's part is over and wants it to be so.
func ends(t *testing.T, s *server, d deployment.ID, want deployment.State) {
	t.Helper()
	waitFor(t, "the end of "+string(d), func() bool { return s.state(t, d).State.Final() })
	if got := s.state(t, d); got.State != want {
		t.Fatalf("assignment = %+v, want %s", got, want)
	}
}

func wantFile(t *testing.T, name, want string) {
	t.Helper()
	if got, err := os.ReadFile(name); err != nil || string(got) != want {
		t.Errorf("%s holds %d bytes, %v, want %d", name, len(got), err, len(want))
	}
}

func installed(t *testing.T, s *server, id device.ID) string {
	t.Helper()
	d, err := s.Device(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	return d.Provides["artifact_name"]
}
