package agent

import (
	"context"
	"errors"
	"fmt"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/update"
)

// Errors of what an operator asks for on the device.
var (
	// ErrBusy: another update is under way.
	ErrBusy = errors.New("another update is under way")
	// ErrNothing: there is no update to commit or to roll back.
	ErrNothing = errors.New("no update is in progress")
	// ErrEarly: the new image does not run yet.
	ErrEarly = errors.New("the new image does not run yet; reboot first")
	// ErrRefused: the artifact must not be installed on this device.
	ErrRefused = errors.New("artifact refused")
)

// Install installs the artifact in a file or behind an address, and reports
// whether a reboot is needed. It then waits for Commit, or RollBack.
func (a *Agent) Install(ctx context.Context, uri string) (reboot bool, err error) {
	err = a.byHand(ctx, func() error {
		if a.record.Phase != update.Idle {
			return fmt.Errorf("install: %w (%s)", ErrBusy, a.record.Phase)
		}
		return a.play(ctx, update.Offered{URI: uri, Standalone: true})
	})
	return a.record.Phase == update.Waiting && a.record.Boot, err
}

// Commit makes an installed image permanent, after its self-test. ErrReboot:
// that failed, and the device must boot to go back.
func (a *Agent) Commit(ctx context.Context) error {
	return a.byHand(ctx, func() error {
		switch {
		case a.record.Phase != update.Waiting:
			return a.notWaiting("commit")
		case a.record.Target.Valid() && a.record.Target != a.o.Running:
			return fmt.Errorf("commit: %w", ErrEarly)
		}
		return a.play(ctx, update.Commit{})
	})
}

// RollBack gives up an installed image. ErrReboot: it runs, and the device
// must boot to go back.
func (a *Agent) RollBack(ctx context.Context) error {
	return a.byHand(ctx, func() error {
		if a.record.Phase != update.Waiting {
			return a.notWaiting("roll back")
		}
		err := a.play(ctx, update.Abandon{})
		if a.record.Last.State == deployment.RolledBack && err != nil && !errors.Is(err, ErrReboot) {
			return nil // that was asked for
		}
		return err
	})
}

func (a *Agent) notWaiting(act string) error {
	if a.record.Phase == update.Idle {
		return fmt.Errorf("%s: %w", act, ErrNothing)
	}
	return fmt.Errorf("%s: %w (%s)", act, ErrBusy, a.record.Phase)
}

// byHand holds the lock, and brings the record up to this boot, for do.
func (a *Agent) byHand(ctx context.Context, do func() error) error {
	unlock, err := a.o.Lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := a.load(); err != nil {
		return err
	}
	booted, err := a.booted()
	if err != nil {
		return err
	}
	if _, err := a.step(booted); err != nil {
		return err
	}
	return do()
}

// play takes steps to the end, and says how it was.
func (a *Agent) play(ctx context.Context, e update.Event) error {
	for {
		effect, err := a.steps(ctx, e)
		if err != nil {
			return err
		}
		if a.record.Phase == update.Waiting {
			return nil
		}
		if a.record.Phase == update.Idle {
			break
		}
		if err := a.wait(ctx, effect.Until); err != nil {
			return err
		}
		e = update.Tick{}
	}
	switch last := a.record.Last; last.State {
	case deployment.Done:
		return nil
	case deployment.Refused:
		return fmt.Errorf("%w: %s", ErrRefused, last.Detail)
	default:
		return fmt.Errorf("%s: %s", last.State, last.Detail)
	}
}
