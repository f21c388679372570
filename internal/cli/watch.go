package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/moult-ota/moult/internal/api/client"
)

const (
	// glance is how often a deployment is looked at, at most.
	glance = 500 * time.Millisecond
	// lineEvery is how often a watcher that is no terminal hears something.
	lineEvery = 10 * time.Second
)

// watch follows a deployment to its end and prints it. Events say when to
// look; a look every lineEvery makes up for events that were not heard.
func (p *program) watch(ctx context.Context, api *client.Client, id string, w waiting) error {
	waitCtx, cancel := ctx, func() {}
	if w.timeout > 0 {
		waitCtx, cancel = context.WithTimeout(ctx, w.timeout)
	}
	defer cancel()
	d, err := p.follow(waitCtx, api, id)
	switch {
	case ctx.Err() != nil:
		return exit(exitInterrupted, "stopped watching; the deployment goes on. To watch it again: moult deploy watch %s", id)
	case waitCtx.Err() != nil:
		return exit(exitTimeout, "deployment %s has not ended after %s: %s; it goes on. To watch it again: moult deploy watch %s", id, w.timeout, states(d.Counts), id)
	case err != nil:
		return err
	}
	if err := printDeployment(p, d); err != nil {
		return err
	}
	return verdict(d)
}

// verdict is nil when devices were updated and none was left behind. Skipped
// devices count for neither.
func verdict(d client.Deployment) error {
	bad := d.Counts["failed"] + d.Counts["rolled-back"] + d.Counts["refused"] + d.Counts["canceled"]
	switch {
	case bad > 0 || d.Status == "aborted":
		return exit(exitFailures, "deployment %s is %s with %s; `moult deploy show %s --devices` says which devices", d.ID, d.Status, states(d.Counts), d.ID)
	case d.Size == 0:
		return exit(exitFailures, "deployment %s is for no device: none that is accepted and has called fits its target", d.ID)
	case d.Counts["done"] == 0:
		return exit(exitFailures, "deployment %s updated no device: %s", d.ID, states(d.Counts))
	}
	return nil
}

func (p *program) follow(ctx context.Context, api *client.Client, id string) (client.Deployment, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d, err := api.ShowDeployment(ctx, id)
	if err != nil {
		return d, err
	}
	view := p.view(ctx, d)
	defer view.close()
	events := listen(ctx, api, id)
	every := time.NewTicker(lineEvery)
	defer every.Stop()
	for {
		view.show(d)
		if d.Status != "active" {
			return d, nil
		}
		select {
		case <-ctx.Done():
			return d, ctx.Err()
		case <-events:
		case <-every.C:
		}
		if now, err := api.ShowDeployment(ctx, id); err == nil {
			d = now
		} else if lasting(err) {
			return d, err
		}
		pause(ctx, glance)
	}
}

// lasting reports whether the server said no; anything else may pass, as when
// the server restarts.
func lasting(err error) bool {
	var e *client.Error
	return errors.As(err, &e) && e.Status < 500
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// listen turns the deployment's events into nudges; several at once are one.
func listen(ctx context.Context, api *client.Client, id string) <-chan struct{} {
	nudge := make(chan struct{}, 1)
	go func() {
		for _, err := range api.Events(ctx, client.WatchEventsParams{Deployment: id}) {
			if err != nil {
				return // looking every lineEvery remains
			}
			select {
			case nudge <- struct{}{}:
			default:
			}
		}
	}()
	return nudge
}

// A view shows a deployment under way.
type view interface {
	show(client.Deployment)
	close()
}

// live reports whether bars can be drawn.
func (p *program) live() bool {
	f, ok := p.err.(*os.File)
	kind, _ := p.lookup("TERM")
	return ok && !p.quiet && kind != "dumb" && term.IsTerminal(int(f.Fd()))
}

func (p *program) view(ctx context.Context, d client.Deployment) view {
	switch {
	case p.quiet:
		return silent{}
	case p.live():
		return newBars(ctx, p.err, d)
	}
	return &lines{out: p.err}
}

type silent struct{}

func (silent) show(client.Deployment) {}
func (silent) close()                 {}

// lines is a view for logs: a line when something changed, and one every
// lineEvery to say that it still watches.
type lines struct {
	out  io.Writer
	last string
	at   time.Time
}

func (l *lines) show(d client.Deployment) {
	now := time.Now()
	text := fmt.Sprintf("%d of %d ended: %s", ended(d), d.Size, states(d.Counts))
	if text == l.last && now.Sub(l.at) < lineEvery-glance {
		return
	}
	l.last, l.at = text, now
	fmt.Fprintf(l.out, "%s %s\n", now.Format("15:04:05"), text)
}

func (l *lines) close() {}

func ended(d client.Deployment) int64 {
	var n int64
	for _, s := range ladder[6:] {
		n += d.Counts[s]
	}
	return n
}

// bars is a view for terminals.
type bars struct {
	progress *mpb.Progress
	bar      *mpb.Bar
	text     atomic.Pointer[string]
}

func newBars(ctx context.Context, out io.Writer, d client.Deployment) *bars {
	b := &bars{progress: mpb.NewWithContext(ctx, mpb.WithOutput(out), mpb.WithWidth(40))}
	b.bar = b.progress.AddBar(d.Size,
		mpb.PrependDecorators(decor.Name(d.Release+" "), decor.CountersNoUnit("%d/%d ")),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string {
			if text := b.text.Load(); text != nil {
				return *text
			}
			return ""
		})))
	return b
}

func (b *bars) show(d client.Deployment) {
	text := states(d.Counts)
	b.text.Store(&text)
	b.bar.SetCurrent(ended(d))
}

func (b *bars) close() {
	b.bar.Abort(false)
	b.progress.Wait()
}
