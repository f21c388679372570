package control

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/store"
)

// A NewDeployment asks for a deployment.
type NewDeployment struct {
	Name      string // empty means the release's name
	Release   string
	Target    deployment.Target
	Retries   int // fresh attempts per device, 0 to MaxRetries
	CreatedBy string
}

// Limits of a deployment.
const (
	MaxRetries = 10
	maxName    = 256
)

// CreateDeployment sends a release to a set of devices, which is fixed now.
// To all or to a type it takes the same time for any number of devices: they
// get their assignments when they check in.
func (c *Control) CreateDeployment(ctx context.Context, n NewDeployment) (deployment.Deployment, error) {
	d, err := n.check()
	if err != nil {
		return deployment.Deployment{}, fmt.Errorf("create deployment: %w", err)
	}
	devices := slices.Compact(slices.Sorted(slices.Values(n.Target.Devices)))
	if n.Target.Kind == deployment.ByQuery {
		if devices, err = c.selected(ctx, n.Target.Filter); err != nil {
			return deployment.Deployment{}, fmt.Errorf("create deployment: %w", err)
		}
	}
	err = c.update(ctx, func(ch *change) error { return ch.deploy(&d, devices) })
	if err != nil {
		return deployment.Deployment{}, fmt.Errorf("create deployment: %w", err)
	}
	return d.Deployment, nil
}

func (n NewDeployment) check() (d store.Deployment, err error) {
	if err := n.Target.Check(); err != nil {
		return d, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if n.Retries < 0 || n.Retries > MaxRetries {
		return d, fmt.Errorf("%w: %d retries, want 0 to %d", ErrInvalid, n.Retries, MaxRetries)
	}
	name := or(n.Name, n.Release)
	if len(name) > maxName || len(n.CreatedBy) > maxName || len(n.Target.Type) > device.MaxType {
		return d, fmt.Errorf("%w: name, creator or type is longer than %d bytes", ErrInvalid, maxName)
	}
	id, err := uuid.NewV7()
	d.Deployment = deployment.Deployment{ID: deployment.ID(id.String()), Name: name, Release: n.Release,
		Target: n.Target, Status: deployment.Active, Retries: n.Retries, CreatedBy: n.CreatedBy}
	return d, err
}

// selected returns the accepted devices that match a filter.
func (c *Control) selected(ctx context.Context, text string) (ids []device.ID, err error) {
	want, err := parseFilter(text)
	if err != nil {
		return nil, err
	}
	f := store.DeviceFilter{Status: device.Accepted, Limit: filterChunk}
	for {
		rows, err := c.DB.Read(ctx).Described(f)
		if err != nil {
			return nil, err
		}
		for _, d := range rows {
			f.Before = d.ID
			if want.Match(attributes(d)) {
				ids = append(ids, d.ID)
			}
		}
		if len(rows) < filterChunk {
			return ids, nil
		}
	}
}

// deploy stores a deployment and its set of devices.
func (ch *change) deploy(d *store.Deployment, devices []device.ID) error {
	if _, err := artifactsOf(ch.Reader, d.Deployment); err != nil {
		return err
	}
	active, err := ch.CountActive("")
	if err != nil {
		return err
	}
	if active >= MaxActive {
		return fmt.Errorf("%w: %d deployments are active, at most %d; abort some", ErrConflict, active, MaxActive)
	}
	d.Seq, d.CreatedAt = ch.Next(), ch.at
	switch d.Target.Kind {
	case deployment.ByIDs, deployment.ByQuery:
		return ch.deployTo(d, devices)
	}
	if d.Size, err = ch.CountDevices(device.Accepted, d.Target.Type); err != nil {
		return err
	}
	d.Implied = d.Size
	if err := ch.InsertDeployment(*d); err != nil {
		return err
	}
	return ch.opened(d)
}

// deployTo gives each of the devices its row.
func (ch *change) deployTo(d *store.Deployment, devices []device.ID) error {
	if err := ch.InsertDeployment(*d); err != nil {
		return err
	}
	n, err := ch.Enlist(d.ID, devices, ch.at)
	if err != nil {
		return err
	}
	if n != len(devices) && d.Target.Kind == deployment.ByIDs {
		return ch.stranger(devices)
	}
	d.Size = n
	if err := ch.AddCount(d.ID, deployment.Pending, n); err != nil {
		return err
	}
	return ch.opened(d)
}

// stranger names a device that cannot be deployed to.
func (ch *change) stranger(devices []device.ID) error {
	for _, id := range devices {
		d, err := ch.Device(id)
		if err != nil {
			return fmt.Errorf("%w: there is no device %.80q", ErrInvalid, id)
		}
		if d.Status != device.Accepted {
			return fmt.Errorf("%w: device %s is %s, not accepted", ErrInvalid, id, d.Status)
		}
	}
	return nil
}

// opened stores the status of a deployment that is complete. Without any
// device it is finished at once.
func (ch *change) opened(d *store.Deployment) error {
	if d.Size == 0 {
		d.Status, d.FinishedAt = deployment.Finished, ch.at
	}
	d.Counts = map[deployment.State]int{}
	if d.Size > 0 {
		d.Counts[deployment.Pending] = d.Size
	}
	return ch.storeStatus(*d)
}

// A DeploymentQuery picks deployments; zero fields pick all.
type DeploymentQuery struct {
	Status  deployment.Status
	Release string
	Page
}

// Deployments lists deployments, newest first. Target.Devices is empty; the
// assignments are the list.
func (c *Control) Deployments(ctx context.Context, q DeploymentQuery) (l List[deployment.Deployment], err error) {
	limit, err := q.limit()
	if err != nil {
		return l, err
	}
	before, err := q.number('p')
	if err != nil {
		return l, err
	}
	var rows []store.Deployment
	err = c.DB.View(ctx, func(r store.Reader) (err error) {
		rows, err = r.Deployments(store.DeploymentFilter{Status: q.Status, Release: q.Release, Before: before, Limit: limit + 1})
		return err
	})
	if err != nil {
		return l, wrap("list deployments", err)
	}
	part := page(rows, limit, 'p', func(d store.Deployment) string { return strconv.FormatInt(d.Seq, 10) })
	l.Next = part.Next
	for _, d := range part.Items {
		l.Items = append(l.Items, d.Deployment)
	}
	return l, nil
}

// Deployment returns one deployment.
func (c *Control) Deployment(ctx context.Context, id deployment.ID) (d deployment.Deployment, err error) {
	err = c.DB.View(ctx, func(r store.Reader) error {
		row, err := r.Deployment(id)
		d = row.Deployment
		return found("deployment "+string(id), err)
	})
	return d, err
}

// underWay are the states that an abort ends.
var underWay = []deployment.State{deployment.Pending, deployment.Offered, deployment.Downloading,
	deployment.Installing, deployment.Rebooting, deployment.Trying}

// AbortDeployment cancels every assignment that has not come to an end.
func (c *Control) AbortDeployment(ctx context.Context, id deployment.ID) error {
	return c.update(ctx, func(ch *change) error {
		d, err := ch.BareDeployment(id)
		if err != nil {
			return found("deployment "+string(id), err)
		}
		if d.Status != deployment.Active {
			return fmt.Errorf("%w: deployment %s is %s already", ErrConflict, id, d.Status)
		}
		if _, err := ch.MoveAll(store.Move{Deployment: id, From: underWay, To: deployment.Canceled,
			Detail: aborted, At: ch.at}); err != nil {
			return err
		}
		if err := ch.AddCount(id, deployment.Pending, -d.Implied); err != nil {
			return err
		}
		if err := ch.AddCount(id, deployment.Canceled, d.Implied); err != nil {
			return err
		}
		d.Status, d.FinishedAt = deployment.Aborted, ch.at
		return ch.storeStatus(d)
	})
}

const aborted = "deployment was aborted"

// RetryDeployment gives a fresh attempt to every device that failed or rolled
// back and is still accepted, and returns how many they are. It reopens a
// finished deployment.
func (c *Control) RetryDeployment(ctx context.Context, id deployment.ID) (n int, err error) {
	err = c.update(ctx, func(ch *change) error {
		d, err := ch.BareDeployment(id)
		if err != nil {
			return found("deployment "+string(id), err)
		}
		if d.Status == deployment.Aborted {
			return fmt.Errorf("%w: deployment %s is aborted; create a new one", ErrConflict, id)
		}
		if _, err := artifactsOf(ch.Reader, d.Deployment); err != nil {
			return err
		}
		n, err = ch.MoveAll(store.Move{Deployment: id, From: []deployment.State{deployment.Failed, deployment.RolledBack},
			To: deployment.Pending, Detail: "tried again", At: ch.at, Fresh: true})
		if err != nil || n == 0 {
			return err
		}
		d.Status, d.FinishedAt = deployment.Active, time.Time{}
		return ch.storeStatus(d)
	})
	return n, err
}

// DeploymentTypes names the device types that a deployment is for; none for
// one that names its devices.
func (c *Control) DeploymentTypes(ctx context.Context, id deployment.ID) (types []string, err error) {
	err = c.DB.View(ctx, func(r store.Reader) error {
		d, err := r.BareDeployment(id)
		if err != nil {
			return found("deployment "+string(id), err)
		}
		switch d.Target.Kind {
		case deployment.ByType:
			types = []string{d.Target.Type}
		case deployment.All:
			all, err := artifactsOf(r, d.Deployment)
			for _, a := range all {
				types = append(types, a.DeviceTypes...)
			}
			return err
		}
		return nil
	})
	return types, err
}
