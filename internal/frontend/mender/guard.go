package mender

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/moult-ota/moult/internal/device"
)

// A guard bounds what runs at once, in all and for each device, so that
// neither a crowd nor one noisy device keeps the others out.
type guard struct {
	most, each int
	all        atomic.Int64
	seed       maphash.Seed
	shards     [64]shard
}

type shard struct {
	sync.Mutex
	running map[device.ID]int // zero is deleted
}

func newGuard(most, each int) *guard {
	g := &guard{most: most, each: each, seed: maphash.MakeSeed()}
	for i := range g.shards {
		g.shards[i].running = map[device.ID]int{}
	}
	return g
}

// enter reports whether one more may run; after true, leave must follow.
func (g *guard) enter(id device.ID) bool {
	if g.all.Add(1) > int64(g.most) {
		g.all.Add(-1)
		return false
	}
	s := g.shard(id)
	s.Lock()
	defer s.Unlock()
	if s.running[id] >= g.each {
		g.all.Add(-1)
		return false
	}
	s.running[id]++
	return true
}

func (g *guard) leave(id device.ID) {
	g.all.Add(-1)
	s := g.shard(id)
	s.Lock()
	defer s.Unlock()
	if s.running[id]--; s.running[id] <= 0 {
		delete(s.running, id)
	}
}

func (g *guard) shard(id device.ID) *shard {
	return &g.shards[maphash.String(g.seed, string(id))%uint64(len(g.shards))]
}
