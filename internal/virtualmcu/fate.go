package virtualmcu

import (
	"math/rand/v2"
	"sync"
	"time"
)

// Faults are what a link does to frames, each by itself, in both directions.
// Probabilities are from 0 to 1.
type Faults struct {
	Seed    uint64
	Lose    float64
	Double  float64
	Delay   float64       // this many wait Late, so that others overtake them
	Late    time.Duration //
	Latency time.Duration // all wait that
}

// A fate decides for one frame after the other.
type fate struct {
	mu     sync.Mutex
	faults Faults
	rng    *rand.Rand
}

func newFate(f Faults) *fate {
	return &fate{faults: f, rng: rand.New(rand.NewPCG(f.Seed, 1))}
}

// SetFaults changes what happens to frames from now on.
func (d *Device) SetFaults(f Faults) {
	d.fate.mu.Lock()
	defer d.fate.mu.Unlock()
	d.fate.faults, d.fate.rng = f, rand.New(rand.NewPCG(f.Seed, 1))
}

// deliver calls to as often as a frame arrives, each after its time. Without
// latency and delay it calls at once.
func (f *fate) deliver(to func()) {
	for _, after := range f.copies() {
		if after <= 0 {
			to()
			continue
		}
		time.AfterFunc(after, to)
	}
}

func (f *fate) copies() (after []time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 1
	if f.rng.Float64() < f.faults.Lose {
		n = 0
	} else if f.rng.Float64() < f.faults.Double {
		n = 2
	}
	for range n {
		wait := f.faults.Latency
		if f.rng.Float64() < f.faults.Delay {
			wait += f.faults.Late
		}
		after = append(after, wait)
	}
	return after
}
