package control

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/store"
)

// A plan is what a check-in comes to.
type plan struct {
	steps  []step
	offer  *offer          // told to the device; nil for nothing
	chosen *store.Artifact // of offer
}

// A step takes one assignment of the device to another state.
type step struct {
	offer  *offer
	row    deployment.Assignment // as it is; the zero Deployment: there is none yet
	to     deployment.State
	detail string
	chosen *store.Artifact
}

// planFor decides what an accepted device should do. What it has begun goes
// on; otherwise the oldest deployment that has something for it comes next,
// and those before it that have nothing are skipped.
func planFor(d store.Device, rows []deployment.Assignment, offers []offer) (p plan) {
	of := map[deployment.ID]deployment.Assignment{}
	for _, a := range rows {
		of[a.Deployment] = a
	}
	for i := range offers {
		if a := of[offers[i].ID]; begun(a.State) && p.goOn(d, &offers[i], a) {
			return p
		}
	}
	for i := range offers {
		a, ok := of[offers[i].ID]
		if a.State != deployment.Pending && (ok || !implied(offers[i].Deployment, d.Device, d.Member)) {
			continue
		}
		if p.propose(d, &offers[i], a) {
			return p
		}
	}
	return p
}

func begun(s deployment.State) bool {
	return s != "" && s != deployment.Pending && !s.Final()
}

// implied reports whether a device without a row is in d.
func implied(d store.Deployment, dev device.Device, member int64) bool {
	in := d.Target.Kind == deployment.All || d.Target.Kind == deployment.ByType && d.Target.Type == dev.Type
	return in && dev.Status == device.Accepted && member <= d.Seq
}

// goOn repeats what the device was told. Before it began, what it now
// provides may call for another artifact.
func (p *plan) goOn(d store.Device, o *offer, a deployment.Assignment) bool {
	if a.State == deployment.Offered {
		return p.propose(d, o, a)
	}
	for i := range o.artifacts {
		if o.artifacts[i].ID == a.Artifact {
			p.offer, p.chosen = o, &o.artifacts[i]
			return true
		}
	}
	return false
}

// propose chooses an artifact, or skips the deployment and returns false.
func (p *plan) propose(d store.Device, o *offer, a deployment.Assignment) bool {
	chosen, reason := choose(d.Device, o.Release, o.artifacts)
	if chosen == nil {
		p.steps = append(p.steps, step{offer: o, row: a, to: deployment.Skipped, detail: reason})
		return false
	}
	if a.State != deployment.Offered || a.Artifact != chosen.ID {
		p.steps = append(p.steps, step{offer: o, row: a, to: deployment.Offered, chosen: chosen})
	}
	p.offer, p.chosen = o, chosen
	return true
}

// choose returns the artifact of a release that fits a device best: the one
// with the most dependencies, such as a delta, then the smallest. Without one
// it returns nil and the reason. The rollback floor is the device's to keep.
func choose(d device.Device, release string, artifacts []store.Artifact) (*store.Artifact, string) {
	installed := maps.Clone(d.Provides)
	if installed == nil {
		installed = map[string]string{}
	}
	installed["device_type"] = d.Type
	var fit []*store.Artifact
	reason := fmt.Sprintf("release %s has no artifact for device type %q", release, d.Type)
	for i := range artifacts {
		a := &artifacts[i]
		if !slices.Contains(a.DeviceTypes, d.Type) {
			continue
		}
		if d.Release == release && provided(a, d.Provides) {
			return nil, "already installed"
		}
		if err := (&artifact.Header{Depends: a.Depends}).Satisfies(installed); err != nil {
			reason = err.Error()
			continue
		}
		fit = append(fit, a)
	}
	if len(fit) == 0 {
		return nil, reason
	}
	return slices.MinFunc(fit, better), ""
}

func better(a, b *store.Artifact) int {
	return cmp.Or(cmp.Compare(len(b.Depends), len(a.Depends)), cmp.Compare(a.Size, b.Size), cmp.Compare(a.ID, b.ID))
}

// provided reports whether all that a provides is installed. A device that
// says no more than the artifact's name is taken at that.
func provided(a *store.Artifact, installed map[string]string) bool {
	if len(installed) <= 1 {
		return true
	}
	for k, v := range a.Provides {
		if k != "artifact_name" && k != "artifact_group" && installed[k] != v {
			return false
		}
	}
	return true
}
