package dfu

import (
	"context"
	"errors"
	"fmt"

	"github.com/moult-ota/moult/internal/child"
)

// Reset restarts the child as the options say. Over USB it is an error when
// the device does not leave the bus: it cannot have restarted.
func (c *Child) Reset(ctx context.Context) error {
	if c.o.Restart != nil {
		return c.o.Restart(ctx)
	}
	d, err := c.find()
	if err != nil {
		return err
	}
	switch {
	case d.inDFU(), c.o.ResetBy == ResetPort:
	case c.o.ResetBy == ResetDetach:
		if d, err = c.toDFU(ctx, d); err != nil {
			return err
		}
	default:
		return fmt.Errorf("nothing is configured that restarts %s: set a reset command, such as one with uhubctl", d)
	}
	return c.resetPort(ctx, d)
}

// resetPort resets the device's port and waits for it to leave the bus, or for
// its application to be there.
func (c *Child) resetPort(ctx context.Context, d Device) error {
	t, err := c.open(ctx, d)
	if err != nil {
		return err
	}
	err = t.Reset()
	t.Close()
	if err != nil && !lost(err) {
		return away("reset port of "+d.String(), err)
	}
	if c.leaves(ctx, d) {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return fmt.Errorf("%s does not restart when its port is reset: set a reset command, such as one with uhubctl", d)
}

// left reports whether a device is not on the bus as it was.
func (c *Child) left(d Device) bool {
	all, err := c.o.Bus.Devices()
	if err != nil {
		return false
	}
	for _, other := range all {
		if other.Port == d.Port && other.Number == d.Number {
			return d.inDFU() && !other.inDFU()
		}
	}
	return true
}

// rescue restarts a device that was left in DFU mode, and tells in the words
// of an error what it did.
func (c *Child) rescue(ctx context.Context, d Device) string {
	if d.Connected != 0 && d.Connected < c.o.Linger {
		return ""
	}
	if err := c.idleNow(ctx, d); err != nil {
		return fmt.Sprintf("; %v", err)
	}
	if err := c.Reset(ctx); err != nil && !errors.Is(err, child.ErrAway) {
		return fmt.Sprintf(", and stays there: %v", err)
	}
	return "; it was restarted"
}

// idleNow wants nobody else to use the device.
func (c *Child) idleNow(ctx context.Context, d Device) error {
	t, err := c.open(ctx, d)
	if err != nil {
		return err
	}
	defer t.Close()
	return away("use "+d.String(), t.Claim(d.dfuInterface().Number))
}
