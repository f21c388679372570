package mqtt

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/moult-ota/moult/internal/wire/object"
	"github.com/moult-ota/moult/internal/wire/topic"
)

// A carousel sends one object to all who wait for it: every piece once, in the
// order in which they can be checked, then what several still miss. It waits
// a little before each round, so that all are there.
//
//	want ─► gather ─► round: page list, page 0, its chunks, page 1, … ─► gather ─► what two or more want
//	                    │ asked for and still to come: it will come               │ what one wants: to that one alone
//	                    └ asked for and gone by: kept for the next round ─────────┘ nobody wants more: ends
//
// Who comes in the middle of a round is sent the page list again, and so can
// take the rest of it. When much of a round was missed, the next one is slower.
type carousel struct {
	*depot
	oid    object.OID
	pieces *opened
	rate   int64 // bytes a second

	mu     sync.Mutex
	askers map[string]bool  // who asked for anything
	coming map[piece]bool   // still to be sent in this round
	wanted map[piece]string // by one node, or by several: ""
}

// A piece is one part of an object.
type piece struct {
	kind  object.Kind
	index int
}

var pageList = piece{object.PageList, 0}

const (
	idleRounds = 10                     // rounds in a row that nobody wants end a carousel
	slowest    = 32 << 10               // bytes a second, and how slow a carousel becomes
	listEvery  = 250 * time.Millisecond // page lists for those who came late
)

// carousel returns the one of an object, started when many wait for it; nil
// when there is none.
func (p *depot) carousel(oid object.OID) *carousel {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.carousels[oid]; c != nil {
		return c
	}
	if p.start == nil || !p.crowd.many(oid, p.Now()) {
		return nil
	}
	c := &carousel{depot: p, oid: oid, rate: p.Rate, askers: map[string]bool{}, wanted: map[piece]string{}}
	p.carousels[oid] = c
	p.start(c.run)
	return c
}

// want notes a request, but for what is still to come.
func (c *carousel) want(node string, r object.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.askers[node] = true
	for _, i := range r.Indices() {
		what := piece{r.Kind, i}
		if c.coming[what] || c.pieces != nil && i >= c.pieces.Spec().Count(r.Kind) || i >= object.MaxChunks {
			continue
		}
		if by, known := c.wanted[what]; known && by != node {
			c.wanted[what] = ""
		} else if !known {
			c.wanted[what] = node
		}
	}
}

func (c *carousel) run(ctx context.Context) {
	defer c.end()
	o, err := c.take(ctx, c.oid)
	if err != nil {
		c.Logger.Debug("carousel", "object", c.oid, "error", err)
		return
	}
	defer c.release(o)
	c.mu.Lock()
	c.pieces = o
	c.mu.Unlock()
	c.gather(ctx)
	sent := 0
	for first, idle := true, 0; idle < idleRounds && pause(ctx, c.Gather); first = false {
		round, alone := c.collect(o.Spec())
		if len(round)*4 > sent && sent > 0 {
			c.rate = max(c.rate/2, slowest)
		}
		idle++
		if len(round)+len(alone) > 0 {
			idle = 0
		}
		if first && len(round) > 0 && round[0] == pageList {
			round = whole(o.Spec())
		}
		for node, pieces := range alone {
			c.serve(node, o.Spec(), pieces)
		}
		c.round(ctx, o, round)
		sent = len(round)
	}
}

// maxGather is how many times a carousel waits for more who want it.
const maxGather = 5

// gather waits as long as somebody new comes.
func (c *carousel) gather(ctx context.Context) {
	for last, n := -1, 0; n < maxGather; n++ {
		c.mu.Lock()
		here := len(c.askers)
		c.mu.Unlock()
		if here == last || !pause(ctx, c.Gather) {
			return
		}
		last = here
	}
}

func (c *carousel) end() {
	c.depot.mu.Lock()
	defer c.depot.mu.Unlock()
	delete(c.carousels, c.oid)
}

// whole is every piece, each after those that it is checked by.
func whole(s object.Spec) []piece {
	all := make([]piece, 0, 1+s.Pages()+s.Chunks())
	all = append(all, pageList)
	for j := range s.Pages() {
		all = append(all, piece{object.LeafPage, j})
		for i := range s.Leaves(j) {
			all = append(all, piece{object.Data, j*object.PageLeaves + i})
		}
	}
	return all
}

// collect takes what is wanted by several, in the order in which it can be
// checked, and what is wanted by one each.
func (c *carousel) collect(s object.Spec) (round []piece, alone map[string][]piece) {
	c.mu.Lock()
	defer c.mu.Unlock()
	alone = map[string][]piece{}
	for what, node := range c.wanted {
		switch {
		case what.index >= s.Count(what.kind):
		case node == "":
			round = append(round, what)
		default:
			alone[node] = append(alone[node], what)
		}
	}
	clear(c.wanted)
	slices.SortFunc(round, inOrder)
	return round, alone
}

// inOrder sorts the page list first, then pages, then chunks.
func inOrder(a, b piece) int {
	return cmp.Or(cmp.Compare(b.kind, a.kind), cmp.Compare(a.index, b.index))
}

// round sends pieces, at the rate that is set.
func (c *carousel) round(ctx context.Context, o *opened, pieces []piece) {
	if len(pieces) > 0 {
		c.Logger.Debug("carousel", "object", c.oid.String(), "pieces", len(pieces), "rate", c.rate)
	}
	c.announce(pieces)
	began, listed, sent := time.Now(), time.Now(), 0
	for _, what := range pieces {
		if time.Since(listed) > listEvery && c.late() {
			listed = time.Now()
			sent += c.send(ctx, o, pageList)
		}
		sent += c.send(ctx, o, what)
		c.passed(what)
		due := time.Duration(float64(sent) / float64(c.rate) * float64(time.Second))
		if !pause(ctx, due-time.Since(began)) {
			return
		}
	}
}

// send publishes a piece to all, and returns its bytes.
func (c *carousel) send(ctx context.Context, o *opened, what piece) (sent int) {
	err := o.Answer(single(what), func(message []byte) error {
		sent += len(message)
		return c.Broker.Publish(ctx, topic.Carousel(c.oid.String()), append([]byte(nil), message...), false)
	})
	if err != nil {
		c.Logger.Debug("carousel", "object", c.oid, "error", err)
	}
	return sent
}

func (c *carousel) announce(pieces []piece) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.coming = make(map[piece]bool, len(pieces))
	for _, what := range pieces {
		c.coming[what] = true
	}
}

func (c *carousel) passed(what piece) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.coming, what)
}

// late reports whether somebody came who needs the page list.
func (c *carousel) late() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, wanted := c.wanted[pageList]
	delete(c.wanted, pageList)
	return wanted
}

// serve queues for one node what it alone misses; what its queue does not
// take, it asks for again.
func (c *carousel) serve(node string, s object.Spec, pieces []piece) {
	slices.SortFunc(pieces, inOrder)
	for len(pieces) > 0 {
		r := single(pieces[0])
		n := 1
		for n < len(pieces) && n < s.AtOnce(r.Kind) && pieces[n].kind == r.Kind && pieces[n].index-pieces[0].index < object.MaxSpan {
			n++
		}
		r.Wanted = object.NewBitmap(pieces[n-1].index - pieces[0].index + 1)
		for _, what := range pieces[:n] {
			r.Wanted.Add(what.index - pieces[0].index)
		}
		c.queue(node, ask{c.oid, r})
		pieces = pieces[n:]
	}
}

// single asks for one piece.
func single(what piece) object.Request {
	b := object.NewBitmap(1)
	b.Add(0)
	return object.Request{Kind: what.kind, First: uint32(what.index), Wanted: b}
}

// pause reports whether ctx goes on after a while.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
