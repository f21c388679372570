package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/moult-ota/moult/internal/api/client"
	"github.com/moult-ota/moult/internal/device"
)

// fleetDevices is the fleet of the first lines.
const fleetDevices = 100_000

// checkInTarget is the share of a bare handler's rate that a check-in
// reaches, with its token checked, its body read and its answer decided.
const checkInTarget = 0.5

func fleetID(i int) device.ID { return device.ID(deviceID(i)) }

// bare serves 204 and nothing else: net/http's own cost.
func bare() (address string, stop func()) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })}
	go s.Serve(l)
	return l.Addr().String(), func() { s.Close() }
}

// checkIns: a fleet that has nothing to do, beside the bare handler.
func (b *bench) checkIns(ctx context.Context) {
	w := newWorld(ctx, fleetDevices)
	defer w.close()
	b.beside(w, fmt.Sprintf("check-in, %d devices, idle", fleetDevices))
	w.deployTo(ctx, b)
	b.beside(w, fmt.Sprintf("check-in, %d devices, deployment under way that they have finished", fleetDevices))
}

func (b *bench) beside(w *world, name string) {
	address, stop := bare()
	defer stop()
	ours, theirs := dial(w.address()), dial(address)
	defer ours.close()
	defer theirs.close()
	requests := w.spread()
	ours.run(b.round, requests, "204") // warm
	a, r := turns(b.rounds,
		func() float64 { return ours.run(b.round, requests, "204") },
		func() float64 { return theirs.run(b.round, requests, "204") })
	b.atLeast(name, "/s", a, r, checkInTarget)
}

// deployTo makes a deployment to the whole fleet that all devices but one
// have finished. The reports are seeded: that many real ones take minutes.
func (w *world) deployTo(ctx context.Context, b *bench) {
	w.upload(ctx, "r1", "rpi", 1<<10)
	d, err := w.op.CreateDeployment(ctx, client.NewDeployment{Release: "r1", Target: client.Target{All: true}}, client.CreateDeploymentParams{})
	check(err)
	w.stop()
	w.sql(fmt.Sprintf(`BEGIN;
	INSERT INTO assignment (deployment, device, state, detail, artifact, bytes, total, attempt, has_log, updated_at)
	SELECT '%[1]s', id, 'done', '', '', 0, 0, 1, 0, 1767225600000000 FROM device WHERE id <> '%[2]s';
	UPDATE deployment SET implied = 1 WHERE id = '%[1]s';
	DELETE FROM deployment_count WHERE deployment = '%[1]s';
	INSERT INTO deployment_count (deployment, state, n) VALUES ('%[1]s', 'pending', 1), ('%[1]s', 'done', %[3]d);
	COMMIT`, d.ID, deviceID(w.devices-1), w.devices-1))
	w.devices-- // the last one would be offered the update
	w.start(ctx)
	w.settle()
}

// sizeTarget is how much of the small fleet's rate the large one keeps.
const sizeTarget = 0.85

// creationTarget bounds the server's time to create a deployment.
const creationTarget = time.Second

// fleetSizes: a thousand devices beside a million, and a deployment to all.
func (b *bench) fleetSizes(ctx context.Context) {
	small, large := newWorld(ctx, 1000), newWorld(ctx, b.big)
	defer small.close()
	defer large.close()
	lc, sc := dial(large.address()), dial(small.address())
	lr, sr := large.spread(), small.spread()
	lc.run(b.round, lr, "204")
	sc.run(b.round, sr, "204")
	ours, reference := turns(b.rounds,
		func() float64 { return lc.run(b.round, lr, "204") },
		func() float64 { return sc.run(b.round, sr, "204") })
	lc.close()
	sc.close()
	b.atLeast(fmt.Sprintf("check-in, %d devices beside 1000", b.big), "/s", ours, reference, sizeTarget)
	b.create(ctx, large)
}

func (b *bench) create(ctx context.Context, w *world) {
	w.upload(ctx, "r1", "rpi", 1<<10)
	began := time.Now()
	d, err := w.op.CreateDeployment(ctx, client.NewDeployment{Release: "r1", Target: client.Target{All: true}}, client.CreateDeploymentParams{})
	took := time.Since(began)
	check(err)
	if d.Size != int64(w.devices) {
		check(fmt.Errorf("deployment is for %d devices, want %d", d.Size, w.devices))
	}
	fmt.Fprintf(os.Stderr, "deployment to %d devices created in %s\n", d.Size, took)
	b.lines = append(b.lines, line{
		fmt.Sprintf("create a deployment for %d devices", d.Size), took.Round(time.Microsecond).String(), creationTarget.String(),
		took.Seconds() / creationTarget.Seconds(), "< 1.00", took < creationTarget,
	})
}
