package hostile

import (
	"math/rand/v2"
	"sync"
	"time"
)

// Odds are how bad a line is; each is between 0 and 1.
type Odds struct {
	Lose, Double, Late float64
}

// Lossy loses messages by chance, doubles them, and lets others overtake them.
func Lossy(seed uint64, o Odds) func(Message) []Message {
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(seed, 7))
	return func(m Message) (out []Message) {
		mu.Lock()
		defer mu.Unlock()
		if rng.Float64() < o.Lose {
			return nil
		}
		if rng.Float64() < o.Late { // others overtake it
			m.Delay = time.Duration(1+rng.IntN(200)) * time.Millisecond
		}
		out = append(out, m)
		if rng.Float64() < o.Double {
			m.Delay += time.Duration(rng.IntN(500)) * time.Millisecond
			out = append(out, m)
		}
		return out
	}
}
