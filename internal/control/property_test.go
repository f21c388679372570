package control_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/moult-ota/moult/internal/control"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
)

func TestRandomOperations(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { randomOperations(t, newFixture(t), seed, 300) })
	}
}

// A world does operations at random, and knows what devices would say.
type world struct {
	*fixture
	*rand.Rand
	devices     []device.ID
	reports     map[device.ID]fleet.Report
	deployments []deployment.ID
	acked       map[device.ID]map[deployment.ID]deployment.State // last state acknowledged
}

// randomOperations checks after every few operations that counts are those of
// the rows, that each device is in a deployment once, that nothing holds a
// deployment open, and that what was acknowledged is kept.
func randomOperations(t *testing.T, f *fixture, seed uint64, n int) {
	w := &world{fixture: f, Rand: rand.New(rand.NewPCG(seed, 0)), reports: map[device.ID]fleet.Report{},
		acked: map[device.ID]map[deployment.ID]deployment.State{}}
	for _, name := range []string{"r1", "r2", "r3"} {
		f.upload(spec(name, "x", "y"))
	}
	operations := []func(*world){(*world).join, (*world).join, (*world).checkIn, (*world).checkIn, (*world).checkIn, (*world).checkIn,
		(*world).progress, (*world).progress, (*world).progress, (*world).progress, (*world).progress, (*world).create, (*world).create,
		(*world).abort, (*world).retry, (*world).leave, (*world).reject, (*world).accept, (*world).changeType}
	for i := range n {
		operations[w.IntN(len(operations))](w)
		if i%10 == 0 || i == n-1 {
			w.check(i)
		}
		if t.Failed() {
			t.Fatalf("seed %d, after operation %d", seed, i)
		}
	}
}

func pick[T any](w *world, from []T) (v T, ok bool) {
	if len(from) == 0 {
		return v, false
	}
	return from[w.IntN(len(from))], true
}

func (w *world) join() {
	typ := []string{"x", "y", "z"}[w.IntN(3)]
	id := w.accepted(rnd(), "", "")
	w.reports[id] = report(typ, "r0")
	w.devices = append(w.devices, id)
	w.acked[id] = map[deployment.ID]deployment.State{}
}

func (w *world) checkIn() {
	id, ok := pick(w, w.devices)
	if !ok {
		return
	}
	if _, err := w.CheckIn(ctx, id, w.reports[id]); err != nil && !errors.Is(err, fleet.ErrUnauthorized) {
		w.t.Errorf("CheckIn = %v", err)
	}
}

func (w *world) progress() {
	id, ok := pick(w, w.devices)
	d, also := pick(w, w.deployments)
	if !ok || !also {
		return
	}
	to, _ := pick(w, []deployment.State{deployment.Downloading, deployment.Installing, deployment.Rebooting,
		deployment.Done, deployment.Failed, deployment.RolledBack, deployment.Refused})
	err := w.Progress(ctx, id, fleet.Progress{Deployment: d, State: to})
	switch {
	case err == nil && to.Final():
		w.acked[id][d] = to
	case err == nil, errors.Is(err, fleet.ErrNotFound), errors.Is(err, fleet.ErrCanceled), errors.Is(err, deployment.ErrEnded):
	default:
		w.t.Errorf("Progress = %v", err)
	}
}

func (w *world) create() {
	if len(w.devices) == 0 || len(w.deployments) > 12 {
		return
	}
	n := control.NewDeployment{Release: fmt.Sprint("r", 1+w.IntN(3)), Retries: w.IntN(3)}
	switch w.IntN(4) {
	case 0:
		n.Target = all
	case 1:
		n.Target = deployment.Target{Kind: deployment.ByType, Type: "x"}
	case 2:
		n.Target = deployment.Target{Kind: deployment.ByQuery, Filter: "type!=y"}
	case 3:
		id, _ := pick(w, w.devices)
		n.Target = deployment.Target{Kind: deployment.ByIDs, Devices: []device.ID{id}}
	}
	d, err := w.CreateDeployment(ctx, n)
	if err == nil {
		w.deployments = append(w.deployments, d.ID)
	} else if !errors.Is(err, control.ErrInvalid) {
		w.t.Errorf("CreateDeployment = %v", err)
	}
}

func (w *world) tolerate(err error, known ...error) {
	w.t.Helper()
	for _, k := range known {
		if errors.Is(err, k) {
			return
		}
	}
	if err != nil {
		w.t.Errorf("%v", err)
	}
}

func (w *world) abort() {
	if d, ok := pick(w, w.deployments); ok && w.IntN(2) == 0 {
		w.tolerate(w.AbortDeployment(ctx, d), control.ErrConflict)
	}
}

func (w *world) retry() {
	if d, ok := pick(w, w.deployments); ok {
		_, err := w.RetryDeployment(ctx, d)
		w.tolerate(err, control.ErrConflict)
		if err == nil {
			for _, acked := range w.acked {
				if again(acked[d]) {
					delete(acked, d)
				}
			}
		}
	}
}

func again(s deployment.State) bool { return s == deployment.Failed || s == deployment.RolledBack }

func (w *world) leave() {
	if id, ok := pick(w, w.devices); ok && w.IntN(3) == 0 {
		w.tolerate(w.Decommission(ctx, id), control.ErrNotFound)
	}
}

func (w *world) reject() {
	if id, ok := pick(w, w.devices); ok && w.IntN(2) == 0 {
		w.tolerate(w.SetDeviceStatus(ctx, id, device.Rejected, "", ""), control.ErrNotFound)
	}
}

func (w *world) accept() {
	if id, ok := pick(w, w.devices); ok {
		w.tolerate(w.SetDeviceStatus(ctx, id, device.Accepted, "", ""), control.ErrNotFound)
	}
}

func (w *world) changeType() {
	if id, ok := pick(w, w.devices); ok {
		w.reports[id] = report([]string{"x", "y"}[w.IntN(2)], fmt.Sprint("r", w.IntN(4)))
	}
}

func (w *world) check(step int) {
	w.t.Helper()
	for _, id := range w.deployments {
		d, err := w.Deployment(ctx, id)
		w.must(err)
		rows, sum, open := map[deployment.State]int{}, 0, 0
		seen := map[device.ID]bool{}
		q := control.AssignmentQuery{Page: control.Page{Limit: 7}}
		for {
			l, err := w.Assignments(ctx, id, q)
			w.must(err)
			for _, a := range l.Items {
				if seen[a.Device] {
					w.t.Errorf("step %d: device %s is in %s twice", step, a.Device, id)
				}
				seen[a.Device] = true
				rows[a.State]++
				sum++
				if !a.State.Final() {
					open++
				}
				w.checkHistory(d, a)
			}
			if q.Cursor = l.Next; q.Cursor == "" {
				break
			}
		}
		if fmt.Sprint(rows) != fmt.Sprint(d.Counts) || sum != d.Size {
			w.t.Errorf("step %d: %s deployment to %s of size %d counts %v, but has rows %v", step, d.Status, d.Target.Kind, d.Size, d.Counts, rows)
		}
		if (open == 0) != (d.Status != deployment.Active) {
			w.t.Errorf("step %d: %s deployment has %d devices under way", step, d.Status, open)
		}
	}
}

// checkHistory wants an assignment's transitions to be a chain that ends at
// its state, and an acknowledged end to be in it.
func (w *world) checkHistory(d deployment.Deployment, a deployment.Assignment) {
	w.t.Helper()
	steps, err := w.Transitions(ctx, d.ID, a.Device)
	w.must(err)
	at, found := deployment.Pending, false
	for _, s := range steps {
		if s.From != at {
			w.t.Errorf("transition %+v follows %s", s, at)
		}
		at = s.To
		found = found || s.To == w.acked[a.Device][d.ID]
	}
	if at != a.State && !(len(steps) == 0 && a.State == deployment.Canceled) { // aborted before it asked
		w.t.Errorf("transitions %+v end at %s, assignment is %s", steps, at, a.State)
	}
	if acked, ok := w.acked[a.Device][d.ID]; ok && !found {
		w.t.Errorf("device %s had %s acknowledged, its history is %+v", a.Device, acked, steps)
	}
}
