package boottest

import "math/rand/v2"

// A Regime is what a cut leaves of the operation it interrupts.
type Regime uint8

// The regimes. A bit that an operation was changing ends up done, untouched or
// unstable: random at every read until its sector is erased.
const (
	Untouched Regime = iota // nothing was done
	Done                    // all was done, and then the power went
	Nearly                  // all was done, but few bits are unstable, or a single one
	Barely                  // nothing was done, but few bits are unstable, or a single one
	Torn                    // the first bytes were done
	Half                    // every bit was done or not, and is stable
	Unstable                // every bit is unstable
	regimes
)

func (r Regime) String() string {
	return [...]string{"untouched", "done", "nearly", "barely", "torn", "half", "unstable"}[r]
}

// A Power supplies all the storage of one device. It is cut during the n-th
// operation (programming a unit, erasing a sector, writing to a disk, storing
// what was written) and then ends what runs on it.
type Power struct {
	Rand *rand.Rand
	Ops  int // operations since Restore
	at   int // the operation to cut, from 1; 0 means none
	how  Regime
	lose []func(Regime) // what a cut does to unsynced writes
}

// NewPower returns a Power that is on. All chance comes from rng.
func NewPower(rng *rand.Rand) *Power { return &Power{Rand: rng} }

// Restore puts the power on again, to be cut during operation at (from 1, or 0
// for never).
func (p *Power) Restore(at int, how Regime) { p.Ops, p.at, p.how = 0, at, how }

// A cut is the panic that ends everything that runs on a Power.
type cut struct{}

// Run calls f and reports whether the power was cut while it ran.
func (p *Power) Run(f func()) (wasCut bool) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(cut); !ok {
				panic(r)
			}
			wasCut = true
		}
	}()
	f()
	return false
}

// cuts counts an operation and reports whether it is the one to interrupt. The
// caller then leaves the operation as regime how says and calls end.
func (p *Power) cuts() bool {
	p.Ops++
	return p.at != 0 && p.Ops >= p.at
}

// end is the moment of the cut.
func (p *Power) end() {
	for _, lose := range p.lose {
		lose(p.how)
	}
	panic(cut{})
}
