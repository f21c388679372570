package store

import (
	"context"
	"fmt"
	"sync"
)

// maxGroup bounds the updates that share one commit.
const maxGroup = 128

// Update runs fn in a write transaction and returns after it is durable.
//
// Each commit costs a disk flush, so updates that wait for one another share
// a transaction, each behind a savepoint of its own: an fn that returns an
// error changes nothing, and does not harm the others. fn must not use ctx for
// anything but the Tx, and must not call Update.
func (db *DB) Update(ctx context.Context, fn func(*Tx) error) error {
	j := &job{ctx: ctx, fn: fn, done: make(chan struct{})}
	db.group.add(j)
	<-j.done // not ctx: fn may be running
	if j.panicked != nil {
		panic(j.panicked)
	}
	return j.err
}

type job struct {
	ctx      context.Context
	fn       func(*Tx) error
	done     chan struct{}
	err      error
	panicked any
}

// A group is the queue of updates. At most one goroutine works on it, and
// ends when the queue is empty; only that one touches the writer.
type group struct {
	db    *DB
	mu    sync.Mutex
	queue []*job
	busy  bool
	w     *writer
}

func (g *group) add(j *job) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.queue = append(g.queue, j)
	if !g.busy {
		g.busy = true
		go g.work()
	}
}

func (g *group) take() []*job {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(len(g.queue), maxGroup)
	jobs := g.queue[:n:n]
	g.queue = g.queue[n:]
	g.busy = n > 0
	return jobs
}

func (g *group) work() {
	for jobs := g.take(); len(jobs) > 0; jobs = g.take() {
		g.commit(jobs)
		for _, j := range jobs {
			close(j.done)
		}
	}
}

// commit runs the jobs in one transaction and sets their err.
func (g *group) commit(jobs []*job) {
	ctx := context.Background() // one caller's end must not undo the others
	n, err := g.begin(ctx)
	if err != nil {
		g.fail(jobs, err)
		return
	}
	last := n
	for _, j := range jobs {
		if last, err = g.run(ctx, j, last); err != nil {
			g.fail(jobs, err)
			return
		}
	}
	if err := g.end(ctx, n, last); err != nil {
		g.fail(jobs, err)
		return
	}
	if last != n {
		g.db.announce(span{n, last})
	}
}

// begin starts a transaction and reads the counter. A connection that broke
// while idle is replaced once.
func (g *group) begin(ctx context.Context) (n int64, err error) {
	for range 2 {
		if n, err = g.tryBegin(ctx); err == nil {
			return n, nil
		}
		g.drop()
	}
	return 0, fmt.Errorf("begin writing: %w", err)
}

func (g *group) tryBegin(ctx context.Context) (n int64, err error) {
	if g.w == nil {
		if g.w, err = newWriter(ctx, g.db.write); err != nil {
			return 0, err
		}
	}
	if err := g.w.exec(ctx, g.db.dialect.Begin); err != nil {
		return 0, err
	}
	if lock := g.db.dialect.Lock; lock != "" {
		if err := g.w.exec(ctx, lock); err != nil {
			return 0, err
		}
	}
	err = Reader{ctx, g.w}.row(`SELECT n FROM counter WHERE id = 1`, nil, &n)
	return n, err
}

// run runs one job behind a savepoint and returns the counter after it. Its
// own error is the job's and undone; a returned error is the transaction's.
func (g *group) run(ctx context.Context, j *job, n int64) (int64, error) {
	if j.err = j.ctx.Err(); j.err != nil {
		return n, nil
	}
	if err := g.w.exec(ctx, `SAVEPOINT one`); err != nil {
		return n, err
	}
	tx := &Tx{Reader: Reader{ctx, g.w}, w: g.w, n: n}
	j.call(tx)
	if j.err == nil && j.panicked == nil {
		return tx.n, g.w.exec(ctx, `RELEASE SAVEPOINT one`)
	}
	if err := g.w.exec(ctx, `ROLLBACK TO SAVEPOINT one`); err != nil {
		return n, err
	}
	return n, g.w.exec(ctx, `RELEASE SAVEPOINT one`)
}

// call keeps a panic for the goroutine that called Update.
func (j *job) call(tx *Tx) {
	defer func() { j.panicked = recover() }()
	j.err = j.fn(tx)
}

func (g *group) end(ctx context.Context, was, n int64) error {
	if n != was {
		if err := g.w.exec(ctx, `UPDATE counter SET n = $1 WHERE id = 1`, n); err != nil {
			return err
		}
	}
	return g.w.exec(ctx, `COMMIT`)
}

// fail gives up the transaction, and the connection with it.
func (g *group) fail(jobs []*job, err error) {
	if g.w != nil {
		_ = g.w.exec(context.Background(), `ROLLBACK`) // dropping it does the same
	}
	g.drop()
	for _, j := range jobs {
		if j.err == nil {
			j.err = fmt.Errorf("write: %w", err)
		}
	}
}

func (g *group) drop() {
	if g.w != nil {
		g.w.close()
		g.w = nil
	}
}
