// Package store keeps what the fleet knows: devices, releases, deployments,
// operators. It holds one set of SQL text for every dialect; the dialects are
// packages below this one. It decides nothing: rules live in package control.
//
// Reads run side by side; writes run one after the other, on every dialect
// and over all servers that share a store, so that what Update reads does not
// change before it is written, and events are stored in the order of their
// cursors.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
)

var (
	ErrNotFound = errors.New("no such row")
	// ErrNewer: the schema is of a later version of the program.
	ErrNewer = errors.New("database schema is newer than this program")
)

// A Dialect is what differs between databases beside the connection.
type Dialect struct {
	Name  string
	Words map[string]string // for {{word}} in migrations
	Begin string            // starts a write transaction
	// Lock is run first in a write transaction; afterwards no other server
	// writes until the transaction ends. Empty when Begin does that.
	Lock string
	// MigrateLock does the same while there is no schema yet.
	MigrateLock string
	// Snapshot is how a read transaction begins that sees one moment.
	Snapshot *sql.TxOptions
}

// A DB is an open store. Its methods may be called from several goroutines.
type DB struct {
	dialect     Dialect
	read, write *sql.DB
	stmts       sync.Map // SQL text to *sql.Stmt, for reads
	group       group

	mu      sync.Mutex
	changed chan struct{}
	own     []span
}

// Open takes over two pools of the same database, of which write needs no more
// than one connection, and brings the schema up to date.
func Open(ctx context.Context, d Dialect, read, write *sql.DB) (*DB, error) {
	db := &DB{dialect: d, read: read, write: write, changed: make(chan struct{})}
	db.group.db = db
	if err := db.migrate(ctx); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// Close closes the store. The caller has ended all calls.
func (db *DB) Close() error {
	db.group.drop()
	if db.write == db.read {
		return db.read.Close()
	}
	return errors.Join(db.write.Close(), db.read.Close())
}

// Changed returns a channel that is closed when this server next commits.
func (db *DB) Changed() <-chan struct{} {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.changed
}

// announce tells that the numbers of s were committed.
func (db *DB) announce(s span) {
	db.mu.Lock()
	defer db.mu.Unlock()
	close(db.changed)
	db.changed = make(chan struct{})
	if n := len(db.own); n > 0 && db.own[n-1].last == s.before {
		db.own[n-1].last = s.last
		return
	}
	if len(db.own) == maxSpans {
		db.own = db.own[1:]
	}
	db.own = append(db.own, s)
}

// A span is the numbers of the counter after before, up to last.
type span struct{ before, last int64 }

// maxSpans bounds what is known of our own commits among those of others.
const maxSpans = 10_000

// Own reports whether the event at a cursor was stored through db, and not by
// another server. It may forget, and then says no; cursors come in order.
func (db *DB) Own(c int64) bool {
	db.mu.Lock()
	defer db.mu.Unlock()
	for len(db.own) > 0 && db.own[0].last < c {
		db.own = db.own[1:]
	}
	return len(db.own) > 0 && db.own[0].before < c
}

// Read returns a Reader whose every method sees what is committed by then.
func (db *DB) Read(ctx context.Context) Reader {
	return Reader{ctx: ctx, q: pool{db}}
}

// View runs fn with a Reader that sees one moment throughout.
func (db *DB) View(ctx context.Context, fn func(Reader) error) error {
	tx, err := db.read.BeginTx(ctx, db.dialect.Snapshot)
	if err != nil {
		return fmt.Errorf("begin reading: %w", err)
	}
	defer tx.Rollback() // it only read
	return fn(Reader{ctx: ctx, q: tx})
}
