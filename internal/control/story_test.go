package control_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
)

func TestStorySQLite(t *testing.T) { story(t, newFixture(t)) }

// story is an update from enrolment to proof.
func story(t *testing.T, f *fixture) {
	key := somePEM(t)
	cr := fleet.Credential{Identity: identity(t, "aa:01"), Key: key}
	id, err := f.Enroll(ctx, cr)
	if !errors.Is(err, fleet.ErrPending) {
		t.Fatalf("Enroll = %v, want ErrPending", err)
	}
	if again, err := f.Enroll(ctx, cr); again != id || !errors.Is(err, fleet.ErrPending) {
		t.Fatalf("Enroll again = %s, %v, want %s and ErrPending", again, err, id)
	}
	if _, err := f.CheckIn(ctx, id, report("rpi", "r1")); !errors.Is(err, fleet.ErrUnauthorized) {
		t.Fatalf("CheckIn of a pending device = %v, want ErrUnauthorized", err)
	}
	f.must(f.SetDeviceStatus(ctx, id, device.Accepted, "", ""))
	if again, err := f.Enroll(ctx, cr); again != id || err != nil {
		t.Fatalf("Enroll after acceptance = %s, %v", again, err)
	}
	f.idle(id, report("rpi", "r1"))

	bytesOf := written(t, spec("r2", "rpi"))
	art, err := f.Upload(ctx, bytes.NewReader(bytesOf), "a note")
	f.must(err)
	d := f.deploy("r2", all, 0)
	a := f.told(id, report("rpi", "r1"))
	if a.Deployment != d || a.Artifact.ID != art.ID || a.Artifact.Name != "r2" || a.Artifact.Size != int64(len(bytesOf)) {
		t.Fatalf("CheckIn = %+v, want artifact %s of deployment %s", a, art.ID, d)
	}
	if again := f.told(id, report("rpi", "r1")); again.Artifact.ID != a.Artifact.ID {
		t.Fatalf("CheckIn again = %+v, want the same as %+v", again, a)
	}
	r, err := f.Open(ctx, id, d)
	f.must(err)
	if _, ok := r.(syscall.Conn); !ok {
		t.Errorf("Open returned a %T, which the kernel cannot send by itself", r)
	}
	got, err := io.ReadAll(r)
	f.must(err)
	f.must(r.Close())
	if !bytes.Equal(got, bytesOf) {
		t.Fatalf("Open gave %d bytes, want the %d that were uploaded", len(got), len(bytesOf))
	}
	f.report(id, d, deployment.Downloading, deployment.Downloading, deployment.Installing, deployment.Rebooting,
		deployment.Installing, deployment.Done, deployment.Done)
	f.idle(id, report("rpi", "r2", "rootfs-image.version", "r2"))
	f.must(f.Log(ctx, id, d, strings.NewReader("all went well")))

	end, err := f.Deployment(ctx, d)
	f.must(err)
	if end.Status != deployment.Finished || end.Counts[deployment.Done] != 1 || len(end.Counts) != 1 || end.FinishedAt.IsZero() {
		t.Errorf("Deployment = %+v, want it finished with one done", end)
	}
	var steps []deployment.State
	history, err := f.Transitions(ctx, d, id)
	f.must(err)
	for _, s := range history {
		steps = append(steps, s.To)
	}
	want := []deployment.State{"offered", "downloading", "installing", "rebooting", "trying", "done"}
	if len(steps) != len(want) {
		t.Errorf("Transitions = %v, want %v", steps, want)
	}
	log, err := f.DeploymentLog(ctx, d, id)
	if err != nil || string(log) != "all went well" {
		t.Errorf("DeploymentLog = %q, %v", log, err)
	}
	detail, err := f.Device(ctx, id)
	f.must(err)
	if detail.Release != "r2" || detail.Type != "rpi" || len(detail.Assignments) != 1 || !detail.Assignments[0].HasLog {
		t.Errorf("Device = %+v", detail)
	}
}
