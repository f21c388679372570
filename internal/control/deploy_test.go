package control_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/moult-ota/moult/internal/control"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/inventory"
)

func (f *fixture) wantState(id device.ID, d deployment.ID, want deployment.State) {
	f.t.Helper()
	if got := f.state(id, d); got != want {
		f.t.Errorf("state of %s = %q, want %q", id, got, want)
	}
}

func (f *fixture) wantStatus(d deployment.ID, want deployment.Status) {
	f.t.Helper()
	got, err := f.Deployment(ctx, d)
	f.must(err)
	if got.Status != want {
		f.t.Errorf("deployment is %s with %v of %d, want %s", got.Status, got.Counts, got.Size, want)
	}
}

func TestTargets(t *testing.T) {
	f := newFixture(t)
	a, b, c := f.accepted("a", "x", "r1"), f.accepted("b", "y", "r1"), f.accepted("c", "x", "r1")
	f.must(f.Describe(ctx, c, inventory.Attributes{"site": "lab"}, false))
	pending := f.enroll(fleet.Credential{Identity: identity(t, "p"), Key: somePEM(t)}, fleet.ErrPending)
	f.upload(spec("r2", "x", "y"))
	later := func() device.ID { return f.accepted(rnd(), "x", "r1") }
	for _, tt := range []struct {
		name   string
		target deployment.Target
		want   []device.ID
	}{
		{"all", all, []device.ID{a, b, c}},
		{"type", deployment.Target{Kind: deployment.ByType, Type: "x"}, []device.ID{a, c}},
		{"ids", deployment.Target{Kind: deployment.ByIDs, Devices: []device.ID{b, a, b}}, []device.ID{a, b}},
		{"filter", deployment.Target{Kind: deployment.ByQuery, Filter: "site:lab"}, []device.ID{c}},
		{"filter by type", deployment.Target{Kind: deployment.ByQuery, Filter: "type!=y"}, []device.ID{a, c}},
	} {
		d := f.deploy("r2", tt.target, 0)
		stranger := later()
		f.idle(stranger, report("x", "r1")) // accepted after the deployment was created
		for _, id := range []device.ID{a, b, c} {
			typ := "x"
			if id == b {
				typ = "y"
			}
			got, err := f.CheckIn(ctx, id, report(typ, "r1"))
			f.must(err)
			if in := slices.Contains(tt.want, id); in != (got.Deployment == d) {
				t.Errorf("%s: CheckIn(%s) = %+v, want it in the deployment: %v", tt.name, id, got, in)
			}
		}
		got, err := f.Deployment(ctx, d)
		f.must(err)
		if got.Size != len(tt.want) || got.Counts[deployment.Offered] != len(tt.want) {
			t.Errorf("%s: size %d, counts %v, want %d offered", tt.name, got.Size, got.Counts, len(tt.want))
		}
		f.must(f.AbortDeployment(ctx, d))
		f.must(f.Decommission(ctx, stranger))
	}
	for _, tt := range []struct {
		name string
		new  control.NewDeployment
		want error
	}{
		{"pending device", control.NewDeployment{Release: "r2", Target: deployment.Target{Kind: deployment.ByIDs, Devices: []device.ID{pending}}}, control.ErrInvalid},
		{"unknown device", control.NewDeployment{Release: "r2", Target: deployment.Target{Kind: deployment.ByIDs, Devices: []device.ID{"x"}}}, control.ErrInvalid},
		{"unknown release", control.NewDeployment{Release: "r9", Target: all}, control.ErrNotFound},
		{"bad filter", control.NewDeployment{Release: "r2", Target: deployment.Target{Kind: deployment.ByQuery, Filter: "x"}}, control.ErrInvalid},
		{"no target", control.NewDeployment{Release: "r2"}, control.ErrInvalid},
		{"too many retries", control.NewDeployment{Release: "r2", Target: all, Retries: 11}, control.ErrInvalid},
	} {
		if _, err := f.CreateDeployment(ctx, tt.new); !errors.Is(err, tt.want) {
			t.Errorf("%s: CreateDeployment = %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestDeploymentToNobodyIsFinished(t *testing.T) {
	f := newFixture(t)
	f.upload(spec("r2", "x"))
	f.wantStatus(f.deploy("r2", all, 0), deployment.Finished)
	f.wantStatus(f.deploy("r2", deployment.Target{Kind: deployment.ByQuery, Filter: "type:x"}, 0), deployment.Finished)
}

func TestArtifactThatFitsBestIsChosen(t *testing.T) {
	f := newFixture(t)
	full := f.upload(spec("r2", "x"))
	patch := spec("r2", "x")
	patch.Depends = map[string][]string{"rootfs-image.checksum": {"c1"}}
	delta := f.upload(patch)
	other := f.upload(spec("r2", "y"))
	for _, tt := range []struct {
		name string
		r    fleet.Report
		want string
	}{
		{"what the delta needs", report("x", "r1", "rootfs-image.checksum", "c1"), delta.ID},
		{"something else", report("x", "r1", "rootfs-image.checksum", "c2"), full.ID},
		{"nothing known", report("x", "r1"), full.ID},
		{"another type", report("y", "r1"), other.ID},
		{"the release, but not all of it", report("x", "r2", "rootfs-image.version", "r1"), full.ID},
	} {
		id := f.accepted(rnd(), tt.r.Type, "r0")
		f.deploy("r2", deployment.Target{Kind: deployment.ByIDs, Devices: []device.ID{id}}, 0)
		if got := f.told(id, tt.r); got.Artifact.ID != tt.want {
			t.Errorf("%s: got artifact %s, want %s", tt.name, got.Artifact.ID, tt.want)
		}
	}
}

func TestSkipped(t *testing.T) {
	f := newFixture(t)
	needy := spec("r2", "x")
	needy.Depends = map[string][]string{"bootloader": {"v2"}}
	f.upload(needy)
	for _, tt := range []struct {
		r    fleet.Report
		want string
	}{
		{report("z", "r1"), `no artifact for device type "z"`},
		{report("x", "r1"), "the device has no bootloader"},
		{report("x", "r1", "bootloader", "v1"), `the device has "v1"`},
		{report("x", "r2", "rootfs-image.version", "r2"), "already installed"},
		{report("x", "r2"), "already installed"},
	} {
		id := f.accepted(rnd(), tt.r.Type, "r0")
		d := f.deploy("r2", deployment.Target{Kind: deployment.ByIDs, Devices: []device.ID{id}}, 0)
		f.idle(id, tt.r)
		l, err := f.Assignments(ctx, d, control.AssignmentQuery{State: deployment.Skipped})
		f.must(err)
		if len(l.Items) != 1 || !strings.Contains(l.Items[0].Detail, tt.want) {
			t.Errorf("after CheckIn(%v): %+v, want it skipped: %s", tt.r, l.Items, tt.want)
		}
		f.wantStatus(d, deployment.Finished)
	}
}

func TestDeploymentsComeOneAfterTheOther(t *testing.T) {
	f := newFixture(t)
	id := f.accepted("1", "x", "r1")
	f.upload(spec("r2", "x"))
	f.upload(spec("r3", "x"))
	d2, d3 := f.deploy("r2", all, 0), f.deploy("r3", all, 0)
	if a := f.told(id, report("x", "r1")); a.Deployment != d2 {
		t.Fatalf("first told of %s, want the older deployment", a.Artifact.Name)
	}
	f.wantState(id, d3, deployment.Pending)
	f.report(id, d2, deployment.Downloading)
	if a := f.told(id, report("x", "r1")); a.Deployment != d2 {
		t.Errorf("midway told of %s, want what has begun", a.Artifact.Name)
	}
	f.report(id, d2, deployment.Done)
	if a := f.told(id, report("x", "r2")); a.Deployment != d3 {
		t.Errorf("then told of %s, want the newer deployment", a.Artifact.Name)
	}
}

func TestLostAnswersCountOnce(t *testing.T) {
	f := newFixture(t)
	id := f.accepted("1", "x", "r1")
	f.upload(spec("r2", "x"))
	d := f.deploy("r2", all, 0)
	for range 3 {
		f.told(id, report("x", "r1"))
		f.report(id, d, deployment.Downloading, deployment.Downloading)
	}
	f.report(id, d, deployment.Failed, deployment.Failed)
	if err := f.Progress(ctx, id, fleet.Progress{Deployment: d, State: deployment.Done}); !errors.Is(err, deployment.ErrEnded) {
		t.Errorf("Progress(done) after failed = %v, want ErrEnded", err)
	}
	steps, err := f.Transitions(ctx, d, id)
	f.must(err)
	if len(steps) != 3 {
		t.Errorf("Transitions = %+v, want offered, downloading, failed", steps)
	}
}

func TestAbortTellsTheDevice(t *testing.T) {
	f := newFixture(t)
	id, idle := f.accepted("1", "x", "r1"), f.accepted("2", "x", "r1")
	f.upload(spec("r2", "x"))
	d := f.deploy("r2", all, 0)
	f.told(id, report("x", "r1"))
	f.report(id, d, deployment.Downloading)
	f.must(f.AbortDeployment(ctx, d))
	if err := f.Progress(ctx, id, fleet.Progress{Deployment: d, State: deployment.Installing}); !errors.Is(err, fleet.ErrCanceled) {
		t.Errorf("Progress after abort = %v, want ErrCanceled", err)
	}
	if _, err := f.Open(ctx, id, d); !errors.Is(err, fleet.ErrCanceled) {
		t.Errorf("Open after abort = %v, want ErrCanceled", err)
	}
	f.idle(id, report("x", "r1"))
	f.idle(idle, report("x", "r1"))
	if err := f.AbortDeployment(ctx, d); !errors.Is(err, control.ErrConflict) {
		t.Errorf("AbortDeployment again = %v, want ErrConflict", err)
	}
	f.wantState(idle, d, deployment.Canceled)
	f.must(f.Decommission(ctx, idle)) // its part in the deployment is history
	f.wantState(idle, d, deployment.Canceled)
	if _, err := f.RetryDeployment(ctx, d); !errors.Is(err, control.ErrConflict) {
		t.Errorf("RetryDeployment after abort = %v, want ErrConflict", err)
	}
}

func TestRetries(t *testing.T) {
	f := newFixture(t)
	id := f.accepted("1", "x", "r1")
	f.upload(spec("r2", "x"))
	d := f.deploy("r2", all, 1)
	f.told(id, report("x", "r1"))
	f.report(id, d, deployment.Downloading, deployment.Failed, deployment.Failed) // the second is a lost answer
	f.wantState(id, d, deployment.Pending)
	f.told(id, report("x", "r1"))
	f.report(id, d, deployment.Installing, deployment.RolledBack, deployment.RolledBack)
	f.wantStatus(d, deployment.Finished)
	f.idle(id, report("x", "r1"))

	n, err := f.RetryDeployment(ctx, d)
	if n != 1 || err != nil {
		t.Fatalf("RetryDeployment = %d, %v, want 1", n, err)
	}
	f.wantStatus(d, deployment.Active)
	f.told(id, report("x", "r1"))
	f.report(id, d, deployment.Done)
	f.wantStatus(d, deployment.Finished)
	a, err := f.Assignments(ctx, d, control.AssignmentQuery{})
	f.must(err)
	if len(a.Items) != 1 || a.Items[0].Attempt != 3 || a.Items[0].State != deployment.Done {
		t.Errorf("Assignments = %+v, want the third attempt done", a.Items)
	}
	if n, err = f.RetryDeployment(ctx, d); n != 0 || err != nil {
		t.Errorf("RetryDeployment of a success = %d, %v, want 0", n, err)
	}
}

func TestWhoLeavesDoesNotHoldADeploymentOpen(t *testing.T) {
	f := newFixture(t)
	f.upload(spec("r2", "x"))
	for _, tt := range []struct {
		name  string
		begun bool
		leave func(device.ID) error
	}{
		{"decommissioned before it asked", false, func(id device.ID) error { return f.Decommission(ctx, id) }},
		{"decommissioned midway", true, func(id device.ID) error { return f.Decommission(ctx, id) }},
		{"rejected before it asked", false, func(id device.ID) error { return f.SetDeviceStatus(ctx, id, device.Rejected, "", "") }},
		{"rejected midway", true, func(id device.ID) error { return f.SetDeviceStatus(ctx, id, device.Rejected, "", "") }},
	} {
		for _, target := range []deployment.Target{all, {Kind: deployment.ByType, Type: "x"}, {Kind: deployment.ByQuery, Filter: "type:x"}} {
			id := f.accepted(rnd(), "x", "r1")
			d := f.deploy("r2", target, 0)
			if tt.begun {
				f.told(id, report("x", "r1"))
			}
			f.must(tt.leave(id))
			f.wantState(id, d, deployment.Canceled)
			f.wantStatus(d, deployment.Finished)
			if tt.begun {
				if err := f.Progress(ctx, id, fleet.Progress{Deployment: d, State: deployment.Done}); !errors.Is(err, fleet.ErrCanceled) {
					t.Errorf("%s: Progress = %v, want ErrCanceled", tt.name, err)
				}
			}
		}
	}
}

// A device is in the set that was fixed at creation, whatever it becomes.
func TestDeviceThatChangesItsTypeStaysIn(t *testing.T) {
	f := newFixture(t)
	id := f.accepted("1", "x", "r1")
	f.upload(spec("r2", "y"))
	byType := f.deploy("r2", deployment.Target{Kind: deployment.ByType, Type: "x"}, 0)
	toAll := f.deploy("r2", all, 0)
	if a := f.told(id, report("y", "r1")); a.Deployment != byType {
		t.Errorf("CheckIn = %+v, want the deployment to its old type", a)
	}
	f.report(id, byType, deployment.Done)
	f.told(id, report("y", "r1"))
	f.wantState(id, toAll, deployment.Offered)
	after := f.deploy("r2", deployment.Target{Kind: deployment.ByType, Type: "x"}, 0)
	f.wantStatus(after, deployment.Finished) // nobody is of that type now
}

// One device tries to reach what belongs to another.
func TestDevicesAreKeptApart(t *testing.T) {
	f := newFixture(t)
	mine, other := f.accepted("1", "x", "r1"), f.accepted("2", "x", "r1")
	f.upload(spec("r2", "x"))
	d := f.deploy("r2", deployment.Target{Kind: deployment.ByIDs, Devices: []device.ID{mine}}, 0)
	f.told(mine, report("x", "r1"))
	f.idle(other, report("x", "r1"))
	if err := f.Progress(ctx, other, fleet.Progress{Deployment: d, State: deployment.Done}); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("Progress on another's assignment = %v, want ErrNotFound", err)
	}
	if _, err := f.Open(ctx, other, d); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("Open another's artifact = %v, want ErrNotFound", err)
	}
	if err := f.Log(ctx, other, d, strings.NewReader("x")); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("Log into another's assignment = %v, want ErrNotFound", err)
	}
	notYet := f.deploy("r2", deployment.Target{Kind: deployment.ByIDs, Devices: []device.ID{other}}, 0)
	if err := f.Progress(ctx, other, fleet.Progress{Deployment: notYet, State: deployment.Done}); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("Progress on what was not offered = %v, want ErrNotFound", err)
	}
	implied := f.deploy("r2", all, 0)
	if err := f.Progress(ctx, other, fleet.Progress{Deployment: implied, State: deployment.Done}); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("Progress before the offer = %v, want ErrNotFound", err)
	}
	f.wantState(mine, d, deployment.Offered)
}

func TestLimitsOfReports(t *testing.T) {
	f := newFixture(t)
	id := f.accepted("1", "x", "r1")
	f.upload(spec("r2", "x"))
	d := f.deploy("r2", all, 0)
	f.told(id, report("x", "r1"))
	if _, err := f.CheckIn(ctx, id, report("x", strings.Repeat("r", 70_000))); !errors.Is(err, fleet.ErrTooLarge) {
		t.Errorf("CheckIn with a huge report = %v, want ErrTooLarge", err)
	}
	if err := f.Log(ctx, id, d, io.LimitReader(zeros{}, fleet.MaxLog+1)); !errors.Is(err, fleet.ErrTooLarge) {
		t.Errorf("Log of more than MaxLog = %v, want ErrTooLarge", err)
	}
	f.must(f.Log(ctx, id, d, io.LimitReader(zeros{}, fleet.MaxLog)))
	long := "a\x00" + strings.Repeat("é", 1000)
	f.must(f.Progress(ctx, id, fleet.Progress{Deployment: d, State: deployment.Failed, Detail: long}))
	l, err := f.Assignments(ctx, d, control.AssignmentQuery{})
	f.must(err)
	if got := l.Items[0].Detail; len(got) > deployment.MaxDetail || len(got) < deployment.MaxDetail-2 || !strings.HasPrefix(long[2:], got[1:]) {
		t.Errorf("Detail has %d bytes, want at most %d of the device's words", len(got), deployment.MaxDetail)
	}
	if err := f.Progress(ctx, id, fleet.Progress{Deployment: d, State: "no such"}); !errors.Is(err, deployment.ErrState) {
		t.Errorf("Progress to an unknown state = %v, want ErrState", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
