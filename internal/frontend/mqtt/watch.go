package mqtt

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/wire/topic"
)

// watch tells devices of what happens in the fleet.
func (d *Door) watch(ctx context.Context) error {
	for e, err := range d.Core.Watch(ctx, d.After) {
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("serve devices over MQTT: %w", err)
		}
		d.tell(ctx, e)
	}
	return ctx.Err()
}

func (d *Door) tell(ctx context.Context, e fleet.Event) {
	switch e.Kind {
	case fleet.KindDevice:
		d.everywhere(ctx, func(ctx context.Context, k *desk) { k.standing(ctx, e) })
	case fleet.KindDeployment:
		d.everywhere(ctx, func(ctx context.Context, k *desk) { k.lookAll(ctx) })
		if e.Detail == string(deployment.Active) {
			d.hintTypes(ctx, e)
		}
	case fleet.KindAssignment:
		if e.State == deployment.Pending || e.State == deployment.Canceled {
			d.everywhere(ctx, func(ctx context.Context, k *desk) {
				if s := k.seats[k.of[e.Device]]; s != nil {
					k.look(ctx, s)
				}
			})
		}
	}
}

// standing looks whether a device is still a member: another key of it may
// have been accepted since.
func (k *desk) standing(ctx context.Context, e fleet.Event) {
	clear(k.away)
	s := k.seats[k.of[e.Device]]
	if s == nil {
		return
	}
	_, err := k.Members.Member(ctx, s.id.String())
	s.out = errors.Is(err, fleet.ErrUnauthorized)
}

// lookAll looks for what changed for every device at the desk.
func (k *desk) lookAll(ctx context.Context) {
	for _, s := range k.seats {
		if ctx.Err() != nil {
			return
		}
		k.look(ctx, s)
	}
}

// hintTypes tells devices of which this door remembers nothing to look for
// themselves: the hint is retained, and not signed.
func (d *Door) hintTypes(ctx context.Context, e fleet.Event) {
	if d.Types == nil {
		return
	}
	types, err := d.Types(ctx, e.Deployment)
	if err != nil {
		d.Logger.Warn("hint", "deployment", e.Deployment, "error", err)
		return
	}
	for _, t := range types {
		if !topic.ValidID(t) {
			continue // such a type cannot be a level of a topic; its devices poll
		}
		if err := d.Broker.Publish(ctx, topic.Release(t), strconv.AppendInt(nil, int64(e.Cursor), 10), true); err != nil {
			d.Logger.Warn("hint", "type", t, "error", err)
		}
	}
}
