//go:build vm

package main

import "math/rand/v2"

// set arms a trap.
func (p *plug) set(t trap) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trap, p.tripped = t, make(chan struct{})
}

// gone says whether the trap went off.
func (p *plug) gone() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.tripped:
		return true
	default:
		return false
	}
}

// cut loses what a disk may lose when the power goes: of what was not flushed
// each sector stays with probability keep. It returns how many there were, and
// how many stayed. The machine must have no power any more.
func (p *plug) cut(chance *rand.Rand, keep float64) (had, kept int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	had = len(p.cached)
	for _, s := range p.cached {
		if chance.Float64() >= keep {
			continue
		}
		if _, err = p.f.WriteAt(s.p, s.n*sectorSize); err != nil {
			return had, kept, err
		}
		kept++
	}
	p.cached, p.newest, p.trap = nil, map[int64][]byte{}, trap{}
	return had, kept, nil
}
