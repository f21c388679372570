package control_test

import (
	"errors"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/control"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
)

// Without a database there is nothing to read or write.
func TestCheckInWithNothingNewNeedsNoDatabase(t *testing.T) {
	f := newFixture(t)
	id, other := f.accepted("1", "x", "r1"), f.accepted("2", "x", "r1")
	f.upload(spec("r2", "x"))
	f.deploy("r2", deployment.Target{Kind: deployment.ByIDs, Devices: []device.ID{other}}, 0)
	f.idle(id, report("x", "r1")) // the one read: is it in the deployment?
	f.must(f.db.Close())
	f.idle(id, report("x", "r1"))
	if _, err := f.CheckIn(ctx, id, report("x", "r2")); err == nil {
		t.Error("CheckIn with another report needed no database either")
	}
	if _, err := f.CheckIn(ctx, other, report("x", "r1")); err == nil {
		t.Error("CheckIn of a device with an assignment needed no database either")
	}
}

// After a start every device checks in at once.
func TestStartRemembersDevices(t *testing.T) {
	f := newFixture(t)
	id := f.accepted("1", "x", "r1")
	rejected := f.accepted("2", "x", "r1")
	f.must(f.SetDeviceStatus(ctx, rejected, device.Rejected, "", ""))
	again := fixtureOn(t, f.db, func(o *control.Options) { o.SeenEvery = time.Hour })
	f.idle(id, report("x", "r1"))
	again.WarmUp(ctx)
	if _, err := again.CheckIn(ctx, rejected, report("x", "r1")); !errors.Is(err, fleet.ErrUnauthorized) {
		t.Errorf("CheckIn of a rejected device = %v, want ErrUnauthorized", err)
	}
	f.must(f.db.Close())
	again.idle(id, report("x", "r1"))
}

// While a check-in reads, the device is rejected; what was read is out of date.
func TestWhatWasReadBeforeARejectionIsNotRemembered(t *testing.T) {
	f := newFixture(t)
	id := f.accepted("1", "x", "r1")
	r := report("x", "r1")
	for range 200 {
		f.Forget(id)
		ended := make(chan error)
		go func() { _, err := f.CheckIn(ctx, id, r); ended <- err }()
		f.must(f.SetDeviceStatus(ctx, id, device.Rejected, "", ""))
		<-ended
		if _, err := f.CheckIn(ctx, id, r); !errors.Is(err, fleet.ErrUnauthorized) {
			t.Fatalf("CheckIn after the rejection = %v, want ErrUnauthorized", err)
		}
		f.must(f.SetDeviceStatus(ctx, id, device.Accepted, "", ""))
	}
}

func TestReportHash(t *testing.T) {
	base := control.ReportHash(report("x", "r1", "a", "b"))
	if again := control.ReportHash(report("x", "r1", "a", "b")); again != base {
		t.Errorf("ReportHash = %d, then %d", base, again)
	}
	for _, r := range []fleet.Report{report("y", "r1", "a", "b"), report("x", "r2", "a", "b"), report("x", "r1", "b", "a"),
		report("x", "r1"), report("x", "r1", "ab", ""), report("x", "r1", "a", "b", "c", "")} {
		if control.ReportHash(r) == base {
			t.Errorf("ReportHash(%v) equals that of another report", r)
		}
	}
}
