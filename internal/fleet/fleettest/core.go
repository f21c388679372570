package fleettest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/inventory"
)

// Enroll implements fleet.Core.
func (f *Fleet) Enroll(_ context.Context, c fleet.Credential) (device.ID, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := f.byIdentity(c.Identity)
	if m == nil {
		m = &member{keys: map[string]device.Status{}}
		m.ID, m.Identity, m.Status = device.ID(fmt.Sprintf("device-%d", len(f.devices)+1)), c.Identity, device.Pending
		m.CreatedAt = f.now()
		f.devices = append(f.devices, m)
		f.emit(fleet.Event{Kind: fleet.KindDevice, Device: m.ID, Detail: string(device.Pending)})
	}
	switch m.keys[c.Key] {
	case device.Accepted:
		return m.ID, nil
	case device.Rejected:
		return "", fleet.ErrRejected
	}
	m.keys[c.Key], m.last = device.Pending, c.Key
	return "", fleet.ErrPending
}

// CheckIn implements fleet.Core.
func (f *Fleet) CheckIn(_ context.Context, id device.ID, r fleet.Report) (fleet.Assignment, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m, err := f.accepted(id)
	if err != nil {
		return fleet.Assignment{}, err
	}
	m.Type, m.Provides, m.Release, m.SeenAt = r.Type, maps.Clone(r.Provides), r.Provides["artifact_name"], f.now()
	for _, p := range f.parts {
		if p.Device == id && !p.State.Final() && f.offer(p, m) {
			return fleet.Assignment{Deployment: p.Deployment, Artifact: p.file.Artifact}, nil
		}
	}
	return fleet.Assignment{}, nil
}

// offer reports whether the device has something to do for the part.
func (f *Fleet) offer(p *part, m *member) bool {
	if p.State != deployment.Pending && p.State != deployment.Offered {
		return true // under way: whatever runs now, it is told the same
	}
	files := f.releases[p.release]
	i := slices.IndexFunc(files, func(a file) bool { return slices.Contains(a.DeviceTypes, m.Type) })
	if i < 0 || m.Release == p.release {
		f.move(p, deployment.Skipped)
		return false
	}
	p.file, p.Artifact, p.Total = files[i], files[i].ID, files[i].Size
	f.move(p, deployment.Offered)
	return true
}

// Progress implements fleet.Core.
func (f *Fleet) Progress(_ context.Context, id device.ID, r fleet.Progress) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.accepted(id); err != nil {
		return err
	}
	p, err := f.part(r.Deployment, id)
	if err != nil {
		return err
	}
	to, err := deployment.Advance(p.State, r.State)
	if err != nil {
		return err
	}
	p.Detail, p.Bytes = r.Detail[:min(len(r.Detail), deployment.MaxDetail)], max(p.Bytes, r.Bytes)
	f.move(p, to)
	return nil
}

// Describe implements fleet.Core.
func (f *Fleet) Describe(_ context.Context, id device.ID, a inventory.Attributes, replace bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	m, err := f.accepted(id)
	if err != nil {
		return err
	}
	all := inventory.Attributes{}
	if !replace {
		maps.Copy(all, m.inventory)
	}
	maps.Copy(all, a)
	if err := all.Check(); err != nil {
		return err
	}
	m.inventory = all
	return nil
}

// Log implements fleet.Core.
func (f *Fleet) Log(_ context.Context, id device.ID, d deployment.ID, log io.Reader) error {
	text, err := io.ReadAll(io.LimitReader(log, fleet.MaxLog+1))
	if err != nil {
		return err
	}
	if len(text) > fleet.MaxLog {
		return fleet.ErrTooLarge
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.accepted(id); err != nil {
		return err
	}
	p, err := f.part(d, id)
	if err != nil {
		return err
	}
	p.log, p.HasLog = string(text), true
	return nil
}

// Open implements fleet.Core.
func (f *Fleet) Open(_ context.Context, id device.ID, d deployment.ID) (fleet.Content, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.accepted(id); err != nil {
		return nil, err
	}
	p, err := f.part(d, id)
	switch {
	case err != nil:
		return nil, err
	case p.State == deployment.Canceled:
		return nil, fleet.ErrCanceled
	case p.Artifact == "" || p.State.Final():
		return nil, fmt.Errorf("%w: deployment %q offers nothing", fleet.ErrNotFound, d)
	}
	return &content{bytes.NewReader(p.file.content), p.file.Artifact}, nil
}

type content struct {
	*bytes.Reader
	artifact fleet.Artifact
}

func (c *content) Artifact() fleet.Artifact { return c.artifact }
func (c *content) Close() error             { return nil }
