package control

import "github.com/moult-ota/moult/internal/device"

// Forget makes the next check-in of a device look it up.
func (c *Control) Forget(id device.ID) { c.memory.forget(id) }
