package boottest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/slot"
)

// Options of a run. The zero Options are a run worth having in every test.
type Options struct {
	Seed  uint64 // of the first life; 0 means 1
	Cuts  int    // to make at least; 0 means 50,000
	Every int    // cut at every n-th operation only; 0 means as Cuts allows in one life
	Most  int    // kinds of violation that end the run; 0 means 3
}

// A Violation is an invariant that a cut broke.
type Violation struct {
	Invariant Invariant
	Seed      uint64 // of the life; a run with this Seed begins with it
	Text      string
}

func (v Violation) String() string {
	return fmt.Sprintf("broken: %s\n\tseed %d: %s", v.Invariant, v.Seed, v.Text)
}

// Run plays lives of devices with the subject until enough cuts were made, and
// fails t for each violation.
func Run(t testing.TB, s Subject, o Options) {
	t.Helper()
	cuts := Play(s, o, func(v Violation) {
		t.Errorf("%s: %v\n\tagain: go test -run '^%s$' -args -seed=%d", s.Name, v, t.Name(), v.Seed)
	})
	t.Logf("%s: %d power cuts, seeds from %d", s.Name, cuts, max(o.Seed, 1))
}

// Play is Run for a caller that judges violations itself; it reports each
// invariant once. It returns how many cuts were made.
func Play(s Subject, o Options, report func(Violation)) (cuts int) {
	o.Seed, o.Cuts, o.Most = max(o.Seed, 1), or(o.Cuts, 50_000), or(o.Most, 3)
	found := map[Invariant]bool{}
	for seed := o.Seed; cuts < o.Cuts && len(found) < o.Most; seed++ {
		l := &life{subject: s, seed: seed, rng: rand.New(rand.NewPCG(seed, 0)), every: o.Every, budget: (o.Cuts - cuts) / len(story)}
		l.violated = func(v Violation) {
			if !found[v.Invariant] {
				found[v.Invariant] = true
				report(v)
			}
			l.over = len(found) >= o.Most
		}
		l.play()
		cuts += l.cuts
	}
	return cuts
}

func or(n, def int) int {
	if n == 0 {
		return def
	}
	return n
}

// A life is all that happens to one device. At each goal it branches: one
// branch for each operation at which the power can go, and each regime.
type life struct {
	subject  Subject
	seed     uint64
	rng      *rand.Rand
	dev      *device
	images   int
	cuts     int
	every    int
	budget   int  // cuts at one goal, when every is 0
	over     bool // enough was found
	goalNow  string
	violated func(Violation)
}

func (l *life) play() {
	l.dev = newDevice(l.subject, l.rng, func(i Invariant, text string) {
		l.violated(Violation{i, l.seed, l.goalNow + ": " + text})
	})
	for _, kind := range story {
		g := l.goal(kind)
		l.goalNow = kind
		l.sweep(g)
		l.advance(g)
		if l.over || l.dev.broken {
			return
		}
	}
}

// story is the order of scenarios in a life. Lives begin with a device that
// never had an image. The fills make sectors change inside different goals.
var story = []string{
	"install", "install", "roll back", "fill", "install", "crash", "raise", "fill", "rot",
	"install", "fill", "raise", "install", "install", "fall back", "install", "fill", "roll back",
}

func (l *life) goal(kind string) *goal {
	g := &goal{name: kind}
	switch kind {
	case "fill":
		g.fill = 1 + l.rng.IntN(5)
		return g
	case "fall back":
		g.spoil = true
		return g
	case "roll back":
		g.trial = rollsBack
	case "crash":
		g.trial = crashes
	case "raise":
		g.trial = raises
	case "rot":
		g.rot = true
	}
	l.images++
	security := l.dev.floor
	if kind == "raise" {
		security++
	}
	g.image = newImage(l.rng, l.images, security)
	l.dev.images[boot.ImageOf(g.image.desc)] = g.image
	return g
}

// sweep cuts branches of the device at every operation of every power-on of
// the goal, in every regime, and some of them again while they recover.
func (l *life) sweep(g *goal) {
	powerOns := l.branch(g, nil)
	step := l.step(powerOns)
	for n, ops := range powerOns {
		calm := make([]interruption, n)
		for at := 1 + l.rng.IntN(step); at <= ops; at += step {
			for how := range regimes {
				if l.over {
					return
				}
				first := append(slices.Clone(calm), interruption{at, how})
				l.branch(g, first)
				l.branch(g, append(first, l.chance(12), l.chance(12)))
				l.branch(g, append(first, l.chance(30), l.chance(6), l.chance(12), l.chance(24)))
			}
		}
	}
}

// cutsEach is about how many cuts sweep makes for one operation.
const cutsEach = int(regimes) * (1 + 3 + 5)

// step says at every how many operations sweep cuts.
func (l *life) step(powerOns []int) int {
	if l.every > 0 {
		return l.every
	}
	ops := 0
	for _, n := range powerOns {
		ops += n
	}
	return 1 + ops*cutsEach/max(1, l.budget)
}

// An interruption is a cut during operation at of a power-on, from 1; 0 is none.
type interruption struct {
	at  int
	how Regime
}

func (l *life) chance(n int) interruption {
	return interruption{1 + l.rng.IntN(n), Regime(l.rng.IntN(int(regimes)))}
}

// branch plays the goal on a copy of the device and returns how many
// operations each power-on had.
func (l *life) branch(g *goal, cuts []interruption) []int {
	rng := rand.New(rand.NewPCG(l.rng.Uint64(), l.seed))
	return l.reach(l.dev.clone(rng), g, cuts)
}

// advance plays the goal on the device itself, through a storm or in calm.
func (l *life) advance(g *goal) {
	var cuts []interruption
	for range l.rng.IntN(6) {
		cuts = append(cuts, l.chance(60))
	}
	l.reach(l.dev, g, cuts)
}

// reach runs the device until the goal is reached, one power-on for each cut
// and then as many as it takes.
func (l *life) reach(d *device, g *goal, cuts []interruption) (ops []int) {
	if g.spoil && !spoilCurrent(d) {
		return nil
	}
	for n, done := 0, false; !done && !d.broken; n++ {
		next := interruption{}
		if n < len(cuts) {
			next = cuts[n]
		}
		d.power.Restore(next.at, next.how)
		if d.power.Run(func() { done = d.session(g) }) {
			l.cuts++
			done = false
		}
		ops = append(ops, d.power.Ops)
		if n > len(cuts)+mostSessions {
			d.violated(Completes, fmt.Sprintf("%d resets after the last cut", mostSessions))
		}
	}
	d.power.Restore(0, 0)
	for range 2 { // what was decided must not change any more
		if !d.broken {
			d.boot()
		}
	}
	return ops
}

// spoilCurrent lets the current image rot, when the other slot can take over.
func spoilCurrent(d *device) bool {
	v := d.may[0]
	other := v.Slot(v.Current.Other())
	if len(d.may) != 1 || v.Trial != slot.None || other.State != boot.Confirmed || other.Image.Security < v.Floor {
		return false
	}
	d.slots[v.Current-1].Spoil(100)
	d.spoilt = true
	return true
}
