package control

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/google/uuid"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/store"
)

// Limits of a report.
const (
	maxProvides = 256      // keys
	maxReport   = 64 << 10 // bytes of all keys and values
)

// CheckIn implements fleet.Core.
func (c *Control) CheckIn(ctx context.Context, id device.ID, r fleet.Report) (fleet.Assignment, error) {
	key, err := uuid.Parse(string(id))
	if err != nil {
		return fleet.Assignment{}, fleet.ErrUnauthorized
	}
	if err := checkReport(r); err != nil {
		return fleet.Assignment{}, err
	}
	active, err := c.active(ctx)
	if err != nil {
		return fleet.Assignment{}, err
	}
	now, hash := c.Now(), reportHash(r)
	e, ok, ticket := c.memory.get(key, now)
	if ok && e.report == hash && (e.idle == active.epoch || !active.concerns(r.Type)) {
		return fleet.Assignment{}, nil
	}
	d, rows, err := c.DB.Read(ctx).Standing(id)
	if err != nil || d.Status != device.Accepted {
		return fleet.Assignment{}, unauthorized(err)
	}
	d, changed := reported(d, r, hash)
	p := planFor(d, rows, active.offers)
	if changed || len(p.steps) > 0 {
		if p, active, err = c.store(ctx, id, r, active); err != nil {
			c.memory.forget(id) // the commit may have happened
			return fleet.Assignment{}, err
		}
	}
	e = entry{report: hash}
	if p.offer == nil {
		e.idle = active.epoch
	}
	c.memory.put(key, e, ticket, now)
	return p.answer(), nil
}

func checkReport(r fleet.Report) error {
	size := len(r.Type)
	for k, v := range r.Provides {
		size += len(k) + len(v)
	}
	if len(r.Type) > device.MaxType || len(r.Provides) > maxProvides || size > maxReport {
		return fmt.Errorf("report of %d provides, %d bytes: %w", len(r.Provides), size, fleet.ErrTooLarge)
	}
	return nil
}

func unauthorized(err error) error {
	if err == nil || errors.Is(err, store.ErrNotFound) {
		return fleet.ErrUnauthorized
	}
	return wrap("look up device", err)
}

// reported returns the device as it says that it is.
func reported(d store.Device, r fleet.Report, hash int64) (_ store.Device, changed bool) {
	if d.Report == hash {
		return d, false
	}
	d.Report = hash
	if r.Type != "" {
		d.Type = r.Type
	}
	d.Provides = maps.Clone(r.Provides)
	delete(d.Provides, "device_type") // it is said beside the provides
	d.Release = d.Provides["artifact_name"]
	return d, true
}

// errStale: a deployment is not active any more, as another server did that.
var errStale = errors.New("active deployments changed meanwhile")

// maxStale bounds how often a check-in is decided again.
const maxStale = 5

// store decides again in a transaction, and stores what it decides. It
// returns the active deployments that the plan was made for.
func (c *Control) store(ctx context.Context, id device.ID, r fleet.Report, active *snapshot) (plan, *snapshot, error) {
	for range maxStale {
		p, err := c.decide(ctx, id, r, active)
		if !errors.Is(err, errStale) {
			return p, active, err
		}
		c.epoch.Add(1)
		if active, err = c.active(ctx); err != nil {
			return plan{}, nil, err
		}
	}
	return plan{}, nil, fleet.ErrBusy
}

func (c *Control) decide(ctx context.Context, id device.ID, r fleet.Report, active *snapshot) (p plan, _ error) {
	err := c.update(ctx, func(ch *change) error {
		was, rows, err := ch.Standing(id)
		if err != nil || was.Status != device.Accepted {
			return unauthorized(err)
		}
		d, changed := reported(was, r, reportHash(r))
		if changed {
			if rows, err = ch.storeReport(was, &d, rows); err != nil {
				return err
			}
		}
		p = planFor(d, rows, active.offers)
		err = ch.take(id, p.steps)
		ch.forget = nil // only the device itself, and CheckIn remembers it anew
		return err
	})
	return p, err
}

// storeReport stores what a device says of itself. A new type takes it out of
// no deployment: those that it is in by its type or age get their row first.
func (ch *change) storeReport(was store.Device, d *store.Device, rows []deployment.Assignment) ([]deployment.Assignment, error) {
	if was.Type != d.Type {
		if err := ch.materialise(was); err != nil {
			return nil, err
		}
		var err error
		if _, rows, err = ch.Standing(d.ID); err != nil {
			return nil, err
		}
		d.Member = ch.Next()
	}
	if d.Parent == "" {
		var err error
		if d.Parent, err = ch.parent(d.Identity); err != nil {
			return nil, err
		}
	}
	if err := ch.UpdateDevice(was, *d); err != nil {
		return nil, err
	}
	return rows, ch.AddEvent(fleet.Event{At: ch.at, Kind: fleet.KindDevice, Device: d.ID, Detail: string(d.Status)})
}

// take carries out the steps of a plan.
func (ch *change) take(id device.ID, steps []step) error {
	for _, s := range steps {
		if d, err := ch.BareDeployment(s.offer.ID); err != nil || d.Status != deployment.Active {
			return errors.Join(err, errStale)
		}
		a := s.row
		if a.Deployment == "" {
			a = deployment.Assignment{Deployment: s.offer.ID, Device: id, Attempt: 1}
		}
		a.State, a.Detail = s.to, s.detail
		if s.chosen != nil {
			a.Artifact, a.Total, a.Bytes = s.chosen.ID, s.chosen.Size, 0
		}
		if err := ch.place(a, s.row.State); err != nil {
			return err
		}
	}
	return nil
}

func (p plan) answer() fleet.Assignment {
	if p.offer == nil {
		return fleet.Assignment{}
	}
	return fleet.Assignment{Deployment: p.offer.ID, Artifact: artifactFor(*p.chosen)}
}

func artifactFor(a store.Artifact) fleet.Artifact {
	return fleet.Artifact{ID: a.ID, Name: a.Release, DeviceTypes: a.DeviceTypes, Size: a.Size, SHA256: a.SHA256}
}
