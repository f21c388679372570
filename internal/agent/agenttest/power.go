// Package agenttest is a device and a server in memory, for whole updates
// whose power is cut at any operation: at every disk write, sync, register
// save, store, request, and piece of a download.
package agenttest

import (
	"context"
	"errors"
	"math/rand/v2"
)

// ErrPower is what every operation returns once the power is gone.
var ErrPower = errors.New("power is off")

// A Power counts operations, and is cut during one of them.
type Power struct {
	Ops  map[string]int // by kind, since the beginning
	rng  *rand.Rand
	n    int     // all of them
	at   int     // the one to cut, from 1; 0 for never
	odds float64 // of a cut during any operation
	left int     // cuts that the odds may still bring
	off  bool
	stop context.CancelFunc
	lose []func(*rand.Rand)
}

func newPower(at int, seed uint64) *Power {
	return &Power{Ops: map[string]int{}, rng: rand.New(rand.NewPCG(seed, uint64(at))), at: at}
}

// Total is how many operations there were.
func (p *Power) Total() int { return p.n }

// do counts an operation and carries it out, unless the power is gone. The
// operation that is cut is carried out or not, by chance.
func (p *Power) do(kind string, op func()) error {
	if p.off {
		return ErrPower
	}
	p.n++
	p.Ops[kind]++
	if p.n != p.at && !p.strikes() {
		op()
		return nil
	}
	if p.rng.IntN(2) == 0 {
		op()
	}
	p.cut()
	return ErrPower
}

// Storm cuts the power by chance, at most so many times.
func (p *Power) Storm(odds float64, most int) { p.odds, p.left = odds, most }

func (p *Power) strikes() bool {
	if p.left == 0 || p.rng.Float64() >= p.odds {
		return false
	}
	p.left--
	return true
}

func (p *Power) cut() {
	p.off = true
	for _, lose := range p.lose {
		lose(p.rng)
	}
	if p.stop != nil {
		p.stop()
	}
}

// on restores the power for a new life.
func (p *Power) on(stop context.CancelFunc) { p.off, p.stop = false, stop }
