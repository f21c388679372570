package control

import (
	"context"

	"github.com/moult-ota/moult/internal/fleet"
)

// Latest is the cursor of the newest event: Watch after it yields only what
// happens from now on.
func (c *Control) Latest(ctx context.Context) (fleet.Cursor, error) {
	at, err := c.DB.Read(ctx).LastEvent()
	return at, wrap("read newest event", err)
}
