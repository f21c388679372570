// Package sqlite keeps the fleet in one SQLite file; nothing else to run.
package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"runtime"

	_ "modernc.org/sqlite" // the driver

	"github.com/moult-ota/moult/internal/store"
)

// Dialect is SQLite's.
var Dialect = store.Dialect{
	Name:  "sqlite",
	Words: map[string]string{"blob": "BLOB"},
	Begin: "BEGIN IMMEDIATE",
}

// pragmas: readers and the writer do not wait for each other, and a commit is
// on the disk before it is acknowledged.
var pragmas = []string{
	"busy_timeout(10000)", // ms; another process may be writing
	"journal_mode(WAL)",
	"synchronous(FULL)",
	"wal_autocheckpoint(4000)", // pages
	"foreign_keys(1)",
	"temp_store(MEMORY)",
	"cache_size(-16384)",           // KiB per connection
	"mmap_size(268435456)",         // bytes
	"journal_size_limit(67108864)", // bytes of WAL kept after a checkpoint
}

// Open opens the database file at path, creates it if it is not there, and
// brings its schema up to date.
func Open(ctx context.Context, path string) (*store.DB, error) {
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: url.Values{"_pragma": pragmas}.Encode()}
	write, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	read, err := sql.Open("sqlite", u.String()+"&_query_only=1")
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	write.SetMaxOpenConns(1)
	read.SetMaxOpenConns(max(4, runtime.NumCPU()))
	read.SetMaxIdleConns(max(4, runtime.NumCPU()))
	db, err := store.Open(ctx, Dialect, read, write)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return db, nil
}
