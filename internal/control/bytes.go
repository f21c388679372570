package control

import (
	"sync"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
)

// byteCounts holds how far downloads came, until Run writes it.
type byteCounts struct {
	mu sync.Mutex
	n  map[part]int64
}

type part struct {
	deployment deployment.ID
	device     device.ID
}

// maxByteCounts bounds them; beyond it a count is not shown before the next state.
const maxByteCounts = 100_000

func (b *byteCounts) set(d deployment.ID, id device.ID, n int64) {
	if n <= 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.n == nil {
		b.n = map[part]int64{}
	}
	if len(b.n) < maxByteCounts {
		b.n[part{d, id}] = n
	}
}

func (b *byteCounts) forget(d deployment.ID, id device.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.n, part{d, id})
}

func (b *byteCounts) take() map[part]int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.n
	b.n = nil
	return n
}
