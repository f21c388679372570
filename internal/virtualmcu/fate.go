package virtualmcu

import (
	"math/rand/v2"
	"slices"
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
	mu      sync.Mutex
	faults  Faults
	rng     *rand.Rand
	waiting []delivery // by their times

	order sync.Mutex // held while one arrives
}

type delivery struct {
	due time.Time
	to  func()
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
// latency and delay it calls at once. What has the same time to wait arrives
// in the order in which it was sent.
func (f *fate) deliver(to func()) {
	for _, after := range f.copies() {
		if after <= 0 {
			to()
			continue
		}
		f.wait(delivery{time.Now().Add(after), to})
		time.AfterFunc(after, f.arrive)
	}
}

func (f *fate) wait(d delivery) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i, _ := slices.BinarySearchFunc(f.waiting, d, func(a, b delivery) int {
		if a.due.After(b.due) {
			return 1
		}
		return -1 // those of the same time stay before it
	})
	f.waiting = slices.Insert(f.waiting, i, d)
}

// arrive lets the next frame arrive, whichever timer it was.
func (f *fate) arrive() {
	f.order.Lock()
	defer f.order.Unlock()
	f.mu.Lock()
	next := f.waiting[0]
	f.waiting = f.waiting[1:]
	f.mu.Unlock()
	next.to()
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
