package agent

import (
	"context"
	"maps"

	"github.com/moult-ota/moult/internal/inventory"
	"github.com/moult-ota/moult/internal/version"
)

// describe reports the inventory when it is due. The server asks for work to
// be done on what it knows, so this comes before the poll; but a failure here
// keeps nobody from updating.
func (a *Agent) describe(ctx context.Context) {
	now := a.o.Now()
	if !a.inventory.IsZero() && now.Sub(a.inventory) < a.o.Inventory {
		return
	}
	if err := a.link.Describe(ctx, a.attributes()); err != nil {
		a.log.Warn("report inventory", "error", err)
		return
	}
	a.inventory = now
}

// attributes are what every device says, and what this one adds.
func (a *Agent) attributes() inventory.Attributes {
	all := inventory.Attributes{"device_type": a.o.DeviceType, "moult_agent_version": version.Version}
	if a.o.Running.Valid() {
		all["slot"] = a.o.Running.String()
	}
	for key, value := range a.record.Provides() {
		all[key] = value
	}
	if a.o.Extra != nil {
		maps.Copy(all, a.o.Extra())
	}
	return all
}
