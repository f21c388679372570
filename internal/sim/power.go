// Package sim is a seeded world: a server, and many virtual devices that are
// each the real agent over real slot files, a real register file and the real
// boot decision. Power can be pulled from any device at any write.
package sim

import (
	"context"
	"errors"
	"sync"
)

// ErrPower is what every disk operation returns once the power is gone.
var ErrPower = errors.New("power is off")

// A Power is one device's supply from a power-on to the next cut. Everything
// that the device does hangs on it: after Cut nothing it wrote but did not
// sync is sure to be there.
type Power struct {
	mu   sync.Mutex
	off  bool
	lost []func() // what the cut does to unsynced writes
	ctx  context.Context
	stop context.CancelFunc
}

// PowerOn starts a life of the device.
func PowerOn(ctx context.Context) *Power {
	p := &Power{}
	p.ctx, p.stop = context.WithCancel(ctx)
	return p
}

// Context ends with the power.
func (p *Power) Context() context.Context { return p.ctx }

// Cut pulls the power. When it returns, no write of this life is under way,
// and none will reach a disk any more.
func (p *Power) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.off {
		return
	}
	p.off = true
	p.stop()
	for _, lose := range p.lost {
		lose()
	}
}

// do runs op unless the power is gone. Operations of one device are serial,
// as on one disk.
func (p *Power) do(op func() error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.off {
		return ErrPower
	}
	return op()
}

// onCut registers what a cut does; it runs once, with the power off.
func (p *Power) onCut(lose func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lost = append(p.lost, lose)
}
