package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/install"
	"github.com/moult-ota/moult/internal/link"
	"github.com/moult-ota/moult/internal/update"
)

// do carries out an effect. The error is for what ends the run: the context,
// and ErrReboot. How the effect ended is the event.
func (a *Agent) do(ctx context.Context, e update.Effect) (update.Event, error) {
	var event update.Event
	switch e.Act {
	case update.Reboot:
		a.log.Info("rebooting")
		a.log.save()
		return nil, ErrReboot
	case update.Poll:
		event = a.poll(ctx)
	case update.Report:
		event = a.report(ctx, e)
	case update.Fetch:
		event = a.fetch(ctx)
	case update.Authenticate:
		event = answered(a.needLink().Authenticate(ctx))
	case update.SendLog:
		event = a.sendLog(ctx)
	default:
		event = a.local(ctx, e.Act)
	}
	if err := ctx.Err(); err != nil {
		return nil, err // what failed, failed because of that
	}
	return event, nil
}

// local carries out what needs no server.
func (a *Agent) local(ctx context.Context, act update.Act) update.Event {
	i, err := a.slots, error(nil)
	if !a.record.Target.Valid() {
		i, err = a.installer(a.record.Kind)
	}
	if err != nil {
		return a.broke(act, err)
	}
	switch act {
	case update.Activate:
		boot, err := i.Activate(ctx, a.written())
		if err != nil {
			return a.broke(act, err)
		}
		return update.Activated{Boot: boot}
	case update.CheckHealth:
		err = a.checkHealth(ctx, i)
	case update.Confirm:
		err = i.Confirm(ctx, a.written())
	case update.RollBack:
		if err = i.RollBack(ctx, a.written(), a.reason()); errors.Is(err, install.ErrKept) {
			a.clean(ctx, i)
			return update.Kept{}
		}
	default:
		err = fmt.Errorf("unknown effect %q", act)
	}
	if err != nil {
		return a.broke(act, err)
	}
	if act != update.CheckHealth {
		a.clean(ctx, i)
	}
	return update.OK{}
}

func (a *Agent) broke(act update.Act, err error) update.Event {
	a.log.Error(string(act), "error", err)
	return update.Broke{Detail: err.Error()}
}

// clean is for tidiness: what it leaves behind, the next one replaces.
func (a *Agent) clean(ctx context.Context, i install.Installer) {
	if err := i.Clean(ctx); err != nil {
		a.log.Warn("clean up", "error", err)
	}
}

func (a *Agent) reason() install.Reason {
	switch a.record.Why {
	case update.NoContact:
		return install.NoContact
	case update.Operator:
		return install.Operator
	}
	return install.SelfTest
}

func (a *Agent) checkHealth(ctx context.Context, i install.Installer) error {
	if err := i.Verify(ctx, a.written()); err != nil {
		return err
	}
	if a.o.Health == nil {
		return nil
	}
	if err := a.o.Health(ctx); err != nil {
		return fmt.Errorf("self-test: %w", err)
	}
	return nil
}

// poll reports the inventory when it is due, and asks for work.
func (a *Agent) poll(ctx context.Context) update.Event {
	if a.link == nil {
		return update.Nothing{At: a.o.Now().Add(maxWait)}
	}
	a.describe(ctx)
	offer, err := a.link.Next(ctx, fleet.Report{Type: a.o.DeviceType, Provides: a.record.Provides()})
	switch {
	case err != nil:
		a.log.Warn("ask for work", "error", err)
		return answered(err)
	case offer.Deployment == "":
		return update.Nothing{At: a.o.Now().Add(a.o.Poll)}
	}
	return update.Offered{Deployment: offer.Deployment, Artifact: offer.Artifact, URI: offer.URI}
}

// report tells the server, and any onlooker, where the update stands.
func (a *Agent) report(ctx context.Context, e update.Effect) update.Event {
	a.o.Watch(Sight{State: e.State, Detail: e.Detail})
	a.log.save()
	err := a.needLink().Progress(ctx, fleet.Progress{Deployment: a.record.Deployment, State: e.State, Detail: e.Detail})
	if err != nil {
		a.log.Warn("report", "state", e.State, "error", err)
	}
	if e.State == deployment.Done {
		a.inventory = time.Time{} // what is installed has changed
	}
	return answered(err)
}

func (a *Agent) sendLog(ctx context.Context) update.Event {
	lines := a.log.lines()
	if len(lines) == 0 {
		return update.OK{}
	}
	err := a.needLink().Log(ctx, a.record.Deployment, lines)
	if errors.Is(err, link.ErrTooLarge) {
		return update.OK{} // the server will never take it
	}
	return answered(err)
}

// answered is what an answer of the server means to the engine.
func answered(err error) update.Event {
	var busy *link.BusyError
	switch {
	case err == nil:
		return update.OK{}
	case errors.Is(err, link.ErrCanceled), errors.Is(err, link.ErrNotFound):
		return update.Canceled{}
	case errors.As(err, &busy):
		return update.Down{Detail: err.Error(), After: busy.After}
	}
	return update.Down{Detail: err.Error()}
}

// needLink stands in for a server when none is configured any more.
func (a *Agent) needLink() link.Link {
	if a.link == nil {
		return away{}
	}
	return a.link
}
