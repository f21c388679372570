// Package postgres keeps the fleet in PostgreSQL, for several servers at once.
package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"runtime"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver

	"github.com/moult-ota/moult/internal/store"
)

// Dialect is PostgreSQL's. Writers of all servers queue at the counter's row,
// as they do in SQLite; each of them commits many updates at once.
var Dialect = store.Dialect{
	Name:        "postgres",
	Words:       map[string]string{"blob": "BYTEA"},
	Begin:       "BEGIN",
	Lock:        "SELECT n FROM counter WHERE id = 1 FOR UPDATE",
	MigrateLock: "SELECT pg_advisory_xact_lock(7302585)",
	Snapshot:    &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true},
}

// Open connects to the database that dsn names (a URL or key=value words) and
// brings its schema up to date.
func Open(ctx context.Context, dsn string) (*store.DB, error) {
	pool, err := sql.Open("pgx", dsn)
	if err != nil {
		return nil, fmt.Errorf("open PostgreSQL: %w", err)
	}
	conns := 4 + 2*runtime.NumCPU()
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	db, err := store.Open(ctx, Dialect, pool, pool)
	if err != nil {
		return nil, fmt.Errorf("open PostgreSQL: %w", err)
	}
	return db, nil
}
