// Package postgres keeps the fleet in PostgreSQL, for several servers at once.
package postgres

import (
	"context"

	"github.com/moult-ota/moult/internal/store"
)

// Open connects to the database that dsn names (a URL or key=value words) and
// brings its schema up to date.
func Open(ctx context.Context, dsn string) (*store.DB, error) { panic("soon") }
