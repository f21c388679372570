package dfu

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/moult-ota/moult/internal/child"
	"github.com/moult-ota/moult/internal/link"
	wire "github.com/moult-ota/moult/internal/wire/dfu"
)

// scan is how often the bus is looked at while a device is waited for.
const scan = 50 * time.Millisecond

// opening is how long a device's file may be missing, or not be ours yet: udev
// comes after the kernel.
const opening = 2 * time.Second

// detachTime is what DETACH asks for, in milliseconds.
const detachTime = 1000

func wait(ctx context.Context, d time.Duration) error { return link.Sleep(ctx, d) }

// open opens a device of the list.
func (c *Child) open(ctx context.Context, d Device) (Transport, error) {
	for end := time.Now().Add(opening); ; {
		t, err := c.o.Bus.Open(d)
		early := errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.EACCES)
		if err == nil || !early || time.Now().After(end) {
			return t, away("open "+d.String(), err)
		}
		if err := wait(ctx, scan); err != nil {
			return nil, err
		}
	}
}

// dfuInterface is the first setting of the interface in the present mode.
func (d Device) dfuInterface() wire.Interface {
	for _, protocol := range []uint8{wire.ProtocolDFU, wire.ProtocolRuntime} {
		if all := d.interfaces(protocol); len(all) > 0 {
			return all[0]
		}
	}
	return wire.Interface{}
}

// toDFU brings a device into DFU mode. It is waited for here: without udev
// dfu-util does not see that it came back.
func (c *Child) toDFU(ctx context.Context, d Device) (Device, error) {
	if d.inDFU() {
		return d, nil
	}
	var err error
	if c.o.Program != "" {
		_, err = c.run(ctx, d, nil, "-e")
	} else {
		err = c.detach(ctx, d)
	}
	if err != nil {
		return d, err
	}
	return c.wait(ctx, d)
}

// detach asks the application to go into DFU mode.
func (c *Child) detach(ctx context.Context, d Device) error {
	if len(d.interfaces(wire.ProtocolRuntime)) == 0 {
		return fmt.Errorf("application of %s has no DFU interface: it cannot be updated over USB", d)
	}
	i := d.dfuInterface()
	f := wire.Functional{DetachTimeout: detachTime}
	if i.Functional != nil {
		f = *i.Functional
	}
	t, err := c.open(ctx, d)
	if err != nil {
		return err
	}
	defer t.Close()
	if err := t.Claim(i.Number); err != nil {
		return away("claim "+d.String(), err)
	}
	_, err = t.Control(wire.TypeOut, uint8(wire.Detach), min(detachTime, f.DetachTimeout), uint16(i.Number), nil)
	if err != nil && !errors.Is(err, syscall.ENODEV) { // it may be gone before it answered
		return away("detach "+d.String(), err)
	}
	if f.Has(wire.WillDetach) {
		return nil
	}
	if err := t.Reset(); err != nil && !lost(err) {
		return away("reset port of "+d.String(), err)
	}
	return nil
}

// wait waits for a device to come back in DFU mode. Its product may be another.
func (c *Child) wait(ctx context.Context, d Device) (Device, error) {
	want := Match{Vendor: c.o.Match.Vendor, Port: d.Port}
	for end := time.Now().Add(c.o.Leave); time.Now().Before(end); {
		all, err := c.o.Bus.Devices()
		if err != nil {
			return d, err
		}
		if now, err := want.find(all); err == nil && now.inDFU() {
			return now, nil
		}
		if err := wait(ctx, scan); err != nil {
			return d, err
		}
	}
	return d, fmt.Errorf("%w: %s did not come back in DFU mode in %v", child.ErrAway, d, c.o.Leave)
}
