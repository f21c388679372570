// Package sim is a seeded world: a server, and many virtual devices that are
// each the real agent over real slot files, a real register file and the real
// boot decision. Power can be pulled from any device at any disk operation.
package sim

import (
	"context"
	"errors"
	"sync"
)

// ErrPower is what every disk operation returns once the power is gone.
var ErrPower = errors.New("power is off")

// A Power is one device's supply from a power-on to the next cut. Everything
// that the device does hangs on it: after a cut, nothing that it wrote but did
// not sync is sure to be there.
type Power struct {
	mu   sync.Mutex
	off  bool
	fuse int      // disk operations until the power goes; 0 is never
	done int      // disk operations so far
	lost []func() // what a cut does to unsynced writes
	ctx  context.Context
	stop context.CancelFunc
}

// PowerOn starts a life of a device, which ends with ctx or a cut.
func PowerOn(ctx context.Context) *Power {
	p := &Power{}
	p.ctx, p.stop = context.WithCancel(ctx)
	return p
}

// Context ends with the power.
func (p *Power) Context() context.Context { return p.ctx }

// CutAfter pulls the power at the n-th disk operation from now; 0 takes a
// fuse out again.
func (p *Power) CutAfter(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fuse = n
}

// Operations is how many disk operations there were.
func (p *Power) Operations() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

// WasCut reports whether the power was pulled.
func (p *Power) WasCut() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.off
}

// End lets go of what PowerOn took; an orderly reboot loses nothing.
func (p *Power) End() { p.stop() }

// do runs a disk operation unless the power is gone. Operations of one device
// are serial, as on one disk.
func (p *Power) do(op func() error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fuse == 1 {
		p.cut()
	}
	if p.off {
		return ErrPower
	}
	p.fuse = max(0, p.fuse-1)
	p.done++
	return op()
}

func (p *Power) cut() {
	p.off = true
	p.stop()
	for _, lose := range p.lost {
		lose()
	}
}

// onCut registers what a cut does; it runs once, with the power off.
func (p *Power) onCut(lose func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lost = append(p.lost, lose)
}
