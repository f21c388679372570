package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/store"
)

// An AssignmentQuery picks assignments; a zero State picks all.
type AssignmentQuery struct {
	State deployment.State
	Page
}

// Assignments lists the devices of a deployment by id, also those that have
// not checked in yet.
func (c *Control) Assignments(ctx context.Context, id deployment.ID, q AssignmentQuery) (l List[deployment.Assignment], err error) {
	limit, err := q.limit()
	if err != nil {
		return l, err
	}
	after, err := q.key('a')
	if err != nil {
		return l, err
	}
	if q.State != "" && !q.State.Known() {
		return l, fmt.Errorf("%w: there is no state %.80q", ErrInvalid, q.State)
	}
	var rows []deployment.Assignment
	err = c.DB.View(ctx, func(r store.Reader) error {
		d, err := r.BareDeployment(id)
		if err != nil {
			return found("deployment "+string(id), err)
		}
		rows, err = everyone(r, d, q.State, device.ID(after), limit+1)
		return err
	})
	if err != nil {
		return l, err
	}
	return page(rows, limit, 'a', func(a deployment.Assignment) string { return string(a.Device) }), nil
}

// everyone merges a deployment's rows with the devices that have none yet.
func everyone(r store.Reader, d store.Deployment, s deployment.State, after device.ID, limit int) ([]deployment.Assignment, error) {
	rows, err := r.Rows(d.ID, s, after, limit)
	if err != nil || d.Implied == 0 || s != "" && s != impliedState(d) {
		return rows, err
	}
	ids, err := r.Implied(d, after, limit)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		rows = append(rows, impliedRow(d, id))
	}
	slices.SortFunc(rows, func(a, b deployment.Assignment) int { return cmp.Compare(a.Device, b.Device) })
	return rows[:min(limit, len(rows))], nil
}

func impliedState(d store.Deployment) deployment.State {
	if d.Status == deployment.Aborted {
		return deployment.Canceled
	}
	return deployment.Pending
}

// impliedRow is the assignment of a device that has no row.
func impliedRow(d store.Deployment, id device.ID) deployment.Assignment {
	a := deployment.Assignment{Deployment: d.ID, Device: id, State: impliedState(d), Attempt: 1, UpdatedAt: d.CreatedAt}
	if a.State == deployment.Canceled {
		a.Detail, a.UpdatedAt = aborted, d.FinishedAt
	}
	return a
}

// Transitions returns the steps that a device took in a deployment, oldest
// first; none for a device that did not check in since it was created.
func (c *Control) Transitions(ctx context.Context, id deployment.ID, dev device.ID) ([]deployment.Transition, error) {
	r := c.DB.Read(ctx)
	if _, err := r.BareDeployment(id); err != nil {
		return nil, found("deployment "+string(id), err)
	}
	steps, err := r.Transitions(id, dev)
	return steps, wrap("read transitions", err)
}

// DeploymentLog returns a device's log of a deployment, at most fleet.MaxLog bytes.
func (c *Control) DeploymentLog(ctx context.Context, id deployment.ID, dev device.ID) ([]byte, error) {
	log, err := c.DB.Read(ctx).DeviceLog(id, dev)
	if errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("log of device %s in deployment %s: %w", dev, id, ErrNotFound)
	}
	return log, wrap("read log", err)
}
