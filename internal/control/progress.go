package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/moult-ota/moult/internal/blob"
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

// byteCounts holds how far downloads came, until Run writes it.
type byteCounts struct {
	mu sync.Mutex
	n  map[part]int64
}

type part struct {
	deployment deployment.ID
	device     device.ID
}

// maxByteCounts bounds them; beyond it a count is not shown before the next state.
const maxByteCounts = 100_000

func (b *byteCounts) set(d deployment.ID, id device.ID, n int64) {
	if n <= 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.n == nil {
		b.n = map[part]int64{}
	}
	if len(b.n) < maxByteCounts {
		b.n[part{d, id}] = n
	}
}

func (b *byteCounts) forget(d deployment.ID, id device.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.n, part{d, id})
}

func (b *byteCounts) take() map[part]int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.n
	b.n = nil
	return n
}

// accepted returns nil for a device that is accepted, without a read if it
// checked in before.
func (c *Control) accepted(ctx context.Context, id device.ID) error {
	key, err := uuid.Parse(string(id))
	if err != nil {
		return fleet.ErrUnauthorized
	}
	if _, ok, _ := c.memory.get(key, c.Now()); ok {
		return nil
	}
	d, err := c.DB.Read(ctx).Device(id)
	if err != nil || d.Status != device.Accepted {
		return unauthorized(err)
	}
	return nil
}

// Open implements fleet.Core.
func (c *Control) Open(ctx context.Context, id device.ID, d deployment.ID) (fleet.Content, error) {
	if err := c.accepted(ctx, id); err != nil {
		return nil, err
	}
	a, err := c.DB.Read(ctx).Assignment(d, id)
	switch {
	case err != nil:
		return nil, noAssignment(err)
	case a.State == deployment.Canceled:
		return nil, fleet.ErrCanceled
	case !begun(a.State):
		return nil, fleet.ErrNotFound
	}
	art, err := c.DB.Read(ctx).Artifact(a.Artifact)
	if err != nil {
		return nil, noAssignment(err)
	}
	r, _, err := c.Blobs.Open(ctx, art.SHA256)
	if err != nil {
		return nil, fmt.Errorf("open artifact %s: %w", art.ID, err)
	}
	return contentOf(r, artifactFor(art)), nil
}

type content struct {
	blob.Reader
	artifact fleet.Artifact
}

func (c content) Artifact() fleet.Artifact { return c.artifact }

// A file is content that the kernel can send to a socket by itself.
type file struct {
	*os.File
	artifact fleet.Artifact
}

func (f file) Artifact() fleet.Artifact { return f.artifact }

func contentOf(r blob.Reader, a fleet.Artifact) fleet.Content {
	if f, ok := r.(*os.File); ok {
		return file{f, a}
	}
	return content{r, a}
}

// Log implements fleet.Core.
func (c *Control) Log(ctx context.Context, id device.ID, d deployment.ID, log io.Reader) error {
	if err := c.accepted(ctx, id); err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(log, fleet.MaxLog+1))
	switch {
	case err != nil:
		return wrap("read log", err)
	case len(text) > fleet.MaxLog:
		return fmt.Errorf("log of more than %d bytes: %w", fleet.MaxLog, fleet.ErrTooLarge)
	}
	return c.update(ctx, func(ch *change) error {
		if _, err := ch.Assignment(d, id); err != nil {
			return noAssignment(err)
		}
		return ch.PutLog(d, id, text, ch.at)
	})
}
