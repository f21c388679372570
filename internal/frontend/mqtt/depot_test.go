package mqtt

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/wire/object"
	"github.com/moult-ota/moult/internal/wire/securemsg"
)

func request(first int) ask {
	return ask{request: single(piece{object.Data, first})}
}

// TestNodesTakeTurns: one that asks for much keeps nobody waiting for more
// than one of its requests.
func TestNodesTakeTurns(t *testing.T) {
	p := newDepot(&Door{})
	for i := range 5 {
		p.queue("greedy", request(i))
	}
	p.queue("modest", request(100))
	p.queue("late", request(200))
	p.queue("modest", request(101))
	var got []string
	for node, a, ok := p.next(); ok; node, a, ok = p.next() {
		got = append(got, fmt.Sprint(node, a.request.First))
	}
	want := "greedy0 modest100 late200 greedy1 modest101 greedy2 greedy3 greedy4"
	if text := strings.Join(got, " "); text != want {
		t.Errorf("served %s, want %s", text, want)
	}
}

// TestQueueIsBounded: what one node has waiting, and who waits.
func TestQueueIsBounded(t *testing.T) {
	p := newDepot(&Door{})
	for i := range 1000 {
		p.queue("greedy", request(i))
	}
	if n := len(p.queues["greedy"]); n != object.MaxRequests {
		t.Errorf("%d requests of one node wait, want %d", n, object.MaxRequests)
	}
}

func TestCrowd(t *testing.T) {
	now := time.Unix(1000, 0)
	a, b, c := securemsg.DeviceID{1}, securemsg.DeviceID{2}, securemsg.DeviceID{3}
	one, other := object.OID{1}, object.OID{2}
	for _, tt := range []struct {
		name string
		do   func(*crowd)
		want bool
	}{
		{"nobody", func(*crowd) {}, false},
		{"one", func(w *crowd) { w.join(a, one, now) }, false},
		{"one, twice", func(w *crowd) { w.join(a, one, now); w.join(a, one, now) }, false},
		{"two", func(w *crowd) { w.join(a, one, now); w.join(b, one, now) }, true},
		{"two, each another object", func(w *crowd) { w.join(a, one, now); w.join(b, other, now) }, false},
		{"two, of which one has it", func(w *crowd) { w.join(a, one, now); w.join(b, one, now); w.leave(b) }, false},
		{"two, of which one is silent", func(w *crowd) { w.join(a, one, now); w.join(b, one, now.Add(-2*patience)) }, false},
		{"two, of which one asked again", func(w *crowd) {
			w.join(a, one, now)
			w.join(b, one, now.Add(-2*patience))
			w.asks(b, one, now)
		}, true},
		{"one, and one who was never told", func(w *crowd) { w.join(a, one, now); w.asks(c, one, now) }, false},
	} {
		w := newCrowd()
		tt.do(w)
		if got := w.many(one, now); got != tt.want {
			t.Errorf("%s: many = %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestCarouselKeepsOnlyWhatTheObjectHas, whatever a liar asks for.
func TestCarouselKeepsOnlyWhatTheObjectHas(t *testing.T) {
	spec := object.Spec{Chunk: 12, Size: 10 << 12}
	c := &carousel{askers: map[string]bool{}, wanted: map[piece]string{}, coming: map[piece]bool{{object.Data, 3}: true}}
	for _, i := range []int{2, 3, 9, 10, 1 << 16} {
		c.want("a", single(piece{object.Data, i}))
	}
	c.want("b", single(piece{object.Data, 9}))
	round, alone := c.collect(spec)
	if len(round) != 1 || round[0] != (piece{object.Data, 9}) {
		t.Errorf("round = %v, want chunk 9, which two want", round)
	}
	if got := alone["a"]; len(alone) != 1 || len(got) != 1 || got[0] != (piece{object.Data, 2}) {
		t.Errorf("alone = %v, want chunk 2 for a: 3 is still to come, and there is no 10", alone)
	}
}
