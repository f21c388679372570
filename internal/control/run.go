package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/store"
)

const (
	watchEvery   = time.Second // how late events of other servers are seen
	watchChunk   = 500         // events per read
	bytesEvery   = 2 * time.Second
	flushChunk   = 1000 // rows per transaction, so that others get their turn
	forgetEvery  = 10 * time.Minute
	eventsKept   = 1_000_000 // numbers of the counter
	flushAtMost  = 10 * time.Second
	warmChunk    = 1000
	followRetry  = time.Second
	forgetChunk  = 5000
	forgetRounds = 100 // chunks per forgetEvery
)

// Run does the background work: it writes last contacts and byte counts in
// batches, follows what other servers on the same store did, and forgets what
// is past its time. It returns after ctx ended and everything was written.
func (c *Control) Run(ctx context.Context) error {
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		c.warm(ctx)
		c.follow(ctx)
	}()
	seen, progress, old := time.NewTicker(c.SeenEvery), time.NewTicker(bytesEvery), time.NewTicker(forgetEvery)
	defer seen.Stop()
	defer progress.Stop()
	defer old.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			<-followed
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushAtMost)
			defer cancel()
			return errors.Join(c.flushSeen(last), c.flushBytes(last))
		case <-seen.C:
			err = c.flushSeen(ctx)
		case <-progress.C:
			err = c.flushBytes(ctx)
		case <-old.C:
			err = c.forgetOld(ctx)
		}
		if err != nil && ctx.Err() == nil {
			c.Logger.Error("background work", "err", err) // and again at the next tick
		}
	}
}

// warm remembers the accepted devices, so that the first check-in of each
// after a start costs no read.
func (c *Control) warm(ctx context.Context) {
	var after device.ID
	for n := 0; n < maxRemembered/2; n += warmChunk {
		tickets := c.memory.tickets()
		part, err := c.DB.Read(ctx).Known(after, warmChunk)
		if err != nil {
			if ctx.Err() == nil {
				c.Logger.Warn("remember devices", "err", err)
			}
			return
		}
		for _, k := range part {
			after = k.ID
			if key, err := uuid.Parse(string(k.ID)); err == nil {
				c.memory.learn(key, k.Report, tickets)
			}
		}
		if len(part) < warmChunk {
			return
		}
	}
}

// follow forgets what other servers changed.
func (c *Control) follow(ctx context.Context) {
	at := c.started
	for ctx.Err() == nil {
		for e, err := range c.Watch(ctx, at) {
			if err != nil {
				c.Logger.Warn("follow events", "err", err)
				break
			}
			at = e.Cursor
			switch {
			case c.DB.Own(int64(at)): // update has seen to it
			case e.Device != "":
				c.memory.forget(e.Device)
			default:
				c.epoch.Add(1)
			}
		}
		sleep(ctx, followRetry)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// Watch implements fleet.Core. Events are kept until about a million newer
// changes happened; a cursor before that continues with the oldest kept.
func (c *Control) Watch(ctx context.Context, after fleet.Cursor) iter.Seq2[fleet.Event, error] {
	return func(yield func(fleet.Event, error) bool) {
		for ctx.Err() == nil {
			changed := c.DB.Changed() // before reading, or a commit in between is missed
			events, err := c.DB.Read(ctx).Events(after, watchChunk)
			if err != nil {
				if ctx.Err() == nil {
					yield(fleet.Event{}, wrap("read events", err))
				}
				return
			}
			for _, e := range events {
				if !yield(e, nil) {
					return
				}
				after = e.Cursor
			}
			if len(events) == 0 {
				wait(ctx, changed, watchEvery)
			}
		}
	}
}

func wait(ctx context.Context, changed <-chan struct{}, atMost time.Duration) {
	t := time.NewTimer(atMost)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-changed:
	case <-t.C:
	}
}

// flushSeen writes last contacts, a part at a time. The parts are ranges of
// ids, so that each touches few pages of the database.
func (c *Control) flushSeen(ctx context.Context) error {
	seen := map[uuid.UUID]int64{}
	for i := range c.memory.shards {
		maps.Copy(seen, c.memory.takeSeen(i))
	}
	keys := slices.SortedFunc(maps.Keys(seen), func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	for part := range slices.Chunk(keys, flushChunk) {
		if err := c.writeSeen(ctx, part, seen); err != nil {
			c.memory.putBack(seen) // what was written is written again
			return fmt.Errorf("write last contacts: %w", err)
		}
	}
	return nil
}

// writeSeen writes, to the second, as that lets devices share a statement.
func (c *Control) writeSeen(ctx context.Context, part []uuid.UUID, seen map[uuid.UUID]int64) error {
	bySecond := map[int64][]device.ID{}
	for _, key := range part {
		second := seen[key] - seen[key]%1e6
		bySecond[second] = append(bySecond[second], device.ID(key.String()))
	}
	return c.DB.Update(ctx, func(tx *store.Tx) error {
		for at, ids := range bySecond {
			if err := tx.SetSeen(ids, at); err != nil {
				return err
			}
		}
		return nil
	})
}

// flushBytes writes how far downloads came.
func (c *Control) flushBytes(ctx context.Context) error {
	all := c.progress.take()
	for len(all) > 0 {
		part := takeSome(all, flushChunk)
		err := c.DB.Update(ctx, func(tx *store.Tx) error {
			for k, n := range part {
				if err := tx.SetBytes(k.deployment, k.device, n); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("write byte counts: %w", err) // newer ones will come
		}
	}
	return nil
}

// takeSome moves up to n entries out of m.
func takeSome[K comparable, V any](m map[K]V, n int) map[K]V {
	part := make(map[K]V, min(n, len(m)))
	for k, v := range m {
		if len(part) == n {
			break
		}
		part[k] = v
		delete(m, k)
	}
	return part
}

// forgetOld deletes events and answers that are past their time.
func (c *Control) forgetOld(ctx context.Context) error {
	last, err := c.DB.Read(ctx).LastEvent()
	if err != nil {
		return err
	}
	for range forgetRounds {
		var n int
		err := c.DB.Update(ctx, func(tx *store.Tx) (err error) {
			if n, err = tx.ForgetEvents(last-eventsKept, forgetChunk); err != nil {
				return err
			}
			m, err := tx.ForgetAnswers(c.Now().Add(-answersKept), forgetChunk)
			n = max(n, m)
			return err
		})
		if err != nil || n < forgetChunk {
			return err
		}
	}
	return nil
}
