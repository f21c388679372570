package control

import (
	"context"

	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
)

// Forget makes the next check-in of a device look it up.
func (c *Control) Forget(id device.ID) { c.memory.forget(id) }

// ReportHash is what is stored of a report.
func ReportHash(r fleet.Report) int64 { return reportHash(r) }

// WarmUp does what Run does first.
func (c *Control) WarmUp(ctx context.Context) { c.warm(ctx) }
