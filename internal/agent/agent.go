// Package agent runs the update engine on a device: it carries out what
// package update decides, over slots, boot register, installers and a link to
// the server.
package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/moult-ota/moult/internal/install"
	"github.com/moult-ota/moult/internal/link"
	"github.com/moult-ota/moult/internal/update"
)

// An Agent is one boot of a device's updater. It has no globals: many agents
// may run in one program.
type Agent struct {
	o         Options
	rules     update.Rules
	link      link.Link // nil: no server is known
	own       io.Closer // the link, when it is this agent's to close; or nil
	slots     install.Installer
	log       *journal
	record    update.Record
	stored    []byte        // what Record holds
	inventory time.Time     // when it was reported last
	poke      chan struct{} // ends a wait
	leaving   atomic.Bool   // run ends between updates
}

// New returns an agent for the boot that is running now. It reads nothing yet.
func New(o Options) (*Agent, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	a := &Agent{
		o: o, link: o.Link, log: newJournal(o.LogFile, o.Log, o.Now), poke: make(chan struct{}, 1),
		rules: update.Rules{Poll: o.Poll, Retry: o.Retry, RetryMax: o.RetryMax, Trial: o.Trial},
	}
	a.installers()
	if a.link != nil || len(o.Servers) == 0 {
		return a, nil
	}
	l, err := reach(o, a.Poll)
	if err != nil {
		return nil, err
	}
	a.link = l
	a.own, _ = l.(io.Closer)
	return a, nil
}

// Run updates the device until ctx ends, a reboot is wanted (ErrReboot), or
// Leave was called (nil). It may be cut off anywhere; a new Agent on the same
// storage goes on.
func (a *Agent) Run(ctx context.Context) error {
	if a.own != nil {
		defer a.own.Close()
	}
	event := update.Event(nil) // booted, as far as this run knows
	for {
		effect, err := a.work(ctx, event)
		if err != nil {
			return err
		}
		if err := a.wait(ctx, effect.Until); err != nil {
			return err
		}
		if a.leaving.Load() && a.between() {
			return nil
		}
		event = update.Tick{}
	}
}

// Leave makes Run return as soon as no update is under way: to make room for
// a newer program. It may be called from anywhere.
func (a *Agent) Leave() {
	a.leaving.Store(true)
	a.Poll()
}

// between reports whether nothing is under way but what waits for a person.
func (a *Agent) between() bool {
	return a.record.Phase == update.Idle || a.record.Phase == update.Waiting
}

// Poll ends a wait early: ask the server now. It may be called from anywhere.
func (a *Agent) Poll() {
	select {
	case a.poke <- struct{}{}:
	default:
	}
}

// work holds the lock and takes steps until there is something to wait for.
func (a *Agent) work(ctx context.Context, event update.Event) (update.Effect, error) {
	unlock, err := a.o.Lock(ctx)
	if err != nil {
		return update.Effect{}, err
	}
	defer unlock()
	changed, err := a.load()
	if err != nil {
		return update.Effect{}, err
	}
	if event == nil || changed {
		if event, err = a.booted(); err != nil {
			return update.Effect{}, err
		}
	}
	return a.steps(ctx, event)
}

// steps takes steps until there is something to wait for.
func (a *Agent) steps(ctx context.Context, event update.Event) (update.Effect, error) {
	for {
		effect, err := a.step(event)
		if err != nil || effect.Act == update.Wait {
			return effect, err
		}
		if event, err = a.do(ctx, effect); err != nil {
			return update.Effect{}, err
		}
	}
}

// step asks the engine, and saves the record before anything is done.
func (a *Agent) step(event update.Event) (update.Effect, error) {
	before := a.record.Phase
	next, effect := a.rules.Step(a.record, event, a.o.Now())
	if next.Deployment != a.record.Deployment || before == update.Idle && next.Standalone {
		a.log.clear()
	}
	if next.Phase != before {
		a.log.Info("step", "from", before, "to", next.Phase, "why", next.Outcome.Detail)
	}
	a.record = next
	return effect, a.save()
}

func (a *Agent) save() error {
	text, err := a.record.Encode()
	if err != nil || bytes.Equal(text, a.stored) {
		return err
	}
	if err := a.o.Record.Save(text); err != nil {
		return fmt.Errorf("save update record: %w", err)
	}
	a.stored = text
	return nil
}

// load reads the record, and reports whether somebody else changed it.
func (a *Agent) load() (changed bool, err error) {
	text, err := a.o.Record.Load()
	if err != nil {
		return false, fmt.Errorf("load update record: %w", err)
	}
	if a.stored != nil && bytes.Equal(text, a.stored) {
		return false, nil
	}
	r, err := update.Decode(text)
	if err != nil {
		a.log.Error("the update record is lost; starting anew", "error", err)
		r, _ = update.Decode(nil)
	}
	a.record, a.stored = r, text
	a.log.load(r.Phase != update.Idle)
	return true, nil
}

// wait sleeps until then, a little longer by chance, so that a fleet does not
// act in step. The zero time is for ever.
func (a *Agent) wait(ctx context.Context, then time.Time) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-a.poke:
			cancel(errPoked)
		case <-stop:
		}
	}()
	d := maxWait
	if !then.IsZero() {
		d = max(then.Sub(a.o.Now()), 0)
		d += time.Duration(a.o.Rand.Int64N(int64(d)/8 + 1))
	}
	err := a.o.Sleep(ctx, min(d, maxWait))
	if errors.Is(context.Cause(ctx), errPoked) {
		a.record.WaitUntil = time.Time{}
		return nil
	}
	return err
}

// maxWait is the longest sleep in one piece; a wait may take several.
const maxWait = time.Hour

var errPoked = errors.New("asked to poll now")
