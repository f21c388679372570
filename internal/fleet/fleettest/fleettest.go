// Package fleettest is a fleet in memory: fleet.Core for tests of front ends
// and agents, with an operator's side. It passes the story in frontendtest,
// as the real control plane does; it keeps nothing and has no phases.
package fleettest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/inventory"
)

// A Fleet implements fleet.Core. Its methods may be called from several
// goroutines.
type Fleet struct {
	now func() time.Time

	mu          sync.Mutex
	devices     []*member
	releases    map[string][]file
	deployments int
	parts       []*part // oldest first
	events      []fleet.Event
	more        chan struct{} // closed when events grows
}

type member struct {
	device.Device
	keys      map[string]device.Status // by PEM
	last      string                   // the key that asked last
	inventory inventory.Attributes
}

type file struct {
	fleet.Artifact
	content []byte
}

// A part is one device's part in one deployment.
type part struct {
	deployment.Assignment
	release string
	file    file // zero until offered
	log     string
}

var _ fleet.Core = (*Fleet)(nil)

// New returns an empty fleet. A nil now means time.Now.
func New(now func() time.Time) *Fleet {
	if now == nil {
		now = time.Now
	}
	return &Fleet{now: now, releases: map[string][]file{}, more: make(chan struct{})}
}

func (f *Fleet) byIdentity(identity device.Identity) *member {
	for _, m := range f.devices {
		if m.Identity == identity {
			return m
		}
	}
	return nil
}

// accepted returns the device, when it takes part.
func (f *Fleet) accepted(id device.ID) (*member, error) {
	i := slices.IndexFunc(f.devices, func(m *member) bool { return m.ID == id })
	if i < 0 || f.devices[i].Status != device.Accepted {
		return nil, fmt.Errorf("%w: %s", fleet.ErrUnauthorized, id)
	}
	return f.devices[i], nil
}

func (f *Fleet) part(d deployment.ID, id device.ID) (*part, error) {
	for _, p := range f.parts {
		if p.Deployment == d && p.Device == id {
			return p, nil
		}
	}
	return nil, fmt.Errorf("%w: deployment %q", fleet.ErrNotFound, d)
}

// move takes a part to another state, and tells who watches.
func (f *Fleet) move(p *part, to deployment.State) {
	if p.State == to {
		return
	}
	p.State, p.UpdatedAt = to, f.now()
	f.emit(fleet.Event{Kind: fleet.KindAssignment, Device: p.Device, Deployment: p.Deployment, State: to, Detail: p.Detail})
}
