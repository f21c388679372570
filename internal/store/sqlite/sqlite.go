// Package sqlite keeps the fleet in one SQLite file; nothing else to run.
package sqlite

import (
	"context"

	"github.com/moult-ota/moult/internal/store"
)

// Open opens the database file at path, creates it if it is not there, and
// brings its schema up to date.
func Open(ctx context.Context, path string) (*store.DB, error) { panic("soon") }
