package control

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/store"
)

// Progress implements fleet.Core. A report that changes no more than the
// number of bytes is kept in memory for a moment; a state is stored first.
func (c *Control) Progress(ctx context.Context, id device.ID, p fleet.Progress) error {
	p.Detail = cut(p.Detail, deployment.MaxDetail)
	a, err := c.DB.Read(ctx).Assignment(p.Deployment, id)
	if err != nil {
		return noAssignment(err)
	}
	next, err := after(a, p)
	if err != nil {
		return err
	}
	if next.State == a.State && next.Detail == a.Detail {
		if !a.State.Final() {
			c.progress.set(p.Deployment, id, min(p.Bytes, a.Total))
		}
		return nil
	}
	return c.advance(ctx, id, p)
}

func noAssignment(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return fleet.ErrNotFound
	}
	return wrap("look up assignment", err)
}

// after returns the assignment as it is after a report.
func after(a deployment.Assignment, p fleet.Progress) (deployment.Assignment, error) {
	if a.State == deployment.Pending {
		if a.Attempt > 1 && again(p.State) {
			return a, nil // the end of the attempt before, reported twice
		}
		if a.Attempt <= 1 {
			return a, fleet.ErrNotFound // it was never offered
		}
	}
	to, err := deployment.Advance(a.State, p.State)
	if err != nil {
		return a, err
	}
	if a.State.Final() {
		return a, nil
	}
	if to != a.State || p.State == a.State {
		a.Detail = p.Detail
	}
	a.State = to
	a.Bytes = max(a.Bytes, min(p.Bytes, a.Total))
	if to == deployment.Done {
		a.Bytes = a.Total
	}
	return a, nil
}

// again reports whether a device may get a fresh attempt after s.
func again(s deployment.State) bool { return s == deployment.Failed || s == deployment.RolledBack }

func (c *Control) advance(ctx context.Context, id device.ID, p fleet.Progress) error {
	err := c.update(ctx, func(ch *change) error {
		a, err := ch.Assignment(p.Deployment, id)
		if err != nil {
			return noAssignment(err)
		}
		next, err := after(a, p)
		if err != nil || next.State == a.State && next.Detail == a.Detail {
			return err
		}
		if again(next.State) {
			return ch.retry(next, a.State)
		}
		return ch.place(next, a.State)
	})
	if err == nil {
		c.progress.forget(p.Deployment, id)
	}
	return err
}

// retry ends an attempt, and starts another if the deployment allows one.
func (ch *change) retry(a deployment.Assignment, was deployment.State) error {
	d, err := ch.BareDeployment(a.Deployment)
	if err != nil {
		return err
	}
	if d.Status != deployment.Active || a.Attempt > d.Retries {
		return ch.place(a, was)
	}
	fresh := a
	fresh.State, fresh.Attempt, fresh.Artifact, fresh.Bytes, fresh.Total = deployment.Pending, a.Attempt+1, "", 0, 0
	fresh.UpdatedAt = ch.at
	ch.forget = append(ch.forget, a.Device)
	return errors.Join(
		ch.AddTransition(deployment.Transition{Deployment: a.Deployment, Device: a.Device, From: was, To: a.State, Detail: a.Detail, At: ch.at}),
		ch.AddTransition(deployment.Transition{Deployment: a.Deployment, Device: a.Device, From: a.State, To: fresh.State,
			Detail: fmt.Sprintf("attempt %d of %d", fresh.Attempt, d.Retries+1), At: ch.at}),
		ch.UpdateAssignment(fresh))
}

// cut shortens s to n bytes, at a character's border, and drops what is no text.
func cut(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if r == 0 {
			return -1 // PostgreSQL keeps no zero bytes
		}
		return r
	}, strings.ToValidUTF8(s, "�"))
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
