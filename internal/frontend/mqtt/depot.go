package mqtt

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/moult-ota/moult/internal/wire/object"
	"github.com/moult-ota/moult/internal/wire/securemsg"
	"github.com/moult-ota/moult/internal/wire/topic"
)

// Bounds of the depot.
const (
	depotWorkers = 4
	maxNodes     = 100_000 // with requests that wait
	maxOpen      = 64      // objects
)

// A depot hands out the pieces of objects. Nodes take turns, one request each,
// so that none waits for more than one request of every other. What many want
// is a carousel's.
type depot struct {
	*Door
	mu        sync.Mutex
	queues    map[string][]ask // of each node, at most object.MaxRequests
	turns     []string         // nodes with a queue
	ready     chan struct{}    // holds one token while there are turns
	open      map[object.OID]*opened
	carousels map[object.OID]*carousel
	start     func(func(context.Context)) // a carousel; nil while the door is closed
}

// An ask is one request of one node.
type ask struct {
	oid     object.OID
	request object.Request
}

// opened is an object that is read now, or was a while ago.
type opened struct {
	Pieces
	readers int
	used    time.Time
}

func newDepot(d *Door) *depot {
	return &depot{Door: d, queues: map[string][]ask{}, ready: make(chan struct{}, 1),
		open: map[object.OID]*opened{}, carousels: map[object.OID]*carousel{}}
}

// hear takes a request from the broker.
func (p *depot) hear(t string, message []byte) {
	oid, id, ok := asked(t)
	if !ok {
		return
	}
	r, err := object.ParseRequest(message)
	if err != nil {
		return
	}
	p.crowd.asks(id, oid, p.Now())
	if c := p.carousel(oid); c != nil {
		c.want(id.String(), r)
		return
	}
	p.queue(id.String(), ask{oid, r})
}

// asked reads moult/v1/obj/{oid}/get/{n}.
func asked(t string) (object.OID, securemsg.DeviceID, bool) {
	node, _ := topic.Of(t)
	id, err := securemsg.ParseDeviceID(node)
	head, _, ok := strings.Cut(t, "/get/")
	oid, bad := object.ParseOID(head[strings.LastIndexByte(head, '/')+1:])
	return oid, id, ok && err == nil && bad == nil
}

// queue gives a node its turn. More than it may have in its window is
// dropped, and asked for again.
func (p *depot) queue(node string, a ask) {
	p.mu.Lock()
	defer p.mu.Unlock()
	q, waits := p.queues[node]
	if len(q) >= object.MaxRequests || !waits && len(p.queues) >= maxNodes {
		return
	}
	p.queues[node] = append(q, a)
	if !waits {
		p.turns = append(p.turns, node)
	}
	p.wake()
}

// wake leaves a token for a worker; one is enough, each leaves another.
func (p *depot) wake() {
	select {
	case p.ready <- struct{}{}:
	default:
	}
}

// next takes the first request of the node whose turn it is.
func (p *depot) next() (node string, a ask, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.turns) == 0 {
		return "", ask{}, false
	}
	node = p.turns[0]
	p.turns = p.turns[1:]
	q := p.queues[node]
	a = q[0]
	if len(q) == 1 {
		delete(p.queues, node)
	} else {
		p.queues[node] = q[1:]
		p.turns = append(p.turns, node)
	}
	if len(p.turns) > 0 {
		p.wake()
	}
	return node, a, true
}

func (p *depot) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.ready:
		}
		if node, a, ok := p.next(); ok {
			p.answer(ctx, topic.Got(node), a)
		}
	}
}

// answer publishes what one request asks for.
func (p *depot) answer(ctx context.Context, to string, a ask) {
	pieces, err := p.take(ctx, a.oid)
	if err != nil {
		p.Logger.Debug("object asked for", "object", a.oid, "error", err)
		return
	}
	defer p.release(pieces)
	err = pieces.Answer(a.request, func(message []byte) error {
		return p.Broker.Publish(ctx, to, append([]byte(nil), message...), false)
	})
	if err != nil {
		p.Logger.Debug("answer request", "object", a.oid, "error", err)
	}
}

// take opens an object, or finds it open.
func (p *depot) take(ctx context.Context, oid object.OID) (*opened, error) {
	p.mu.Lock()
	if o := p.open[oid]; o != nil {
		o.readers++
		p.mu.Unlock()
		return o, nil
	}
	p.mu.Unlock()
	pieces, err := p.Objects.Open(ctx, oid)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if o := p.open[oid]; o != nil { // somebody was faster
		pieces.Close()
		o.readers++
		return o, nil
	}
	o := &opened{Pieces: pieces, readers: 1}
	p.open[oid] = o
	return o, nil
}

// release gives an object back, and closes what nobody reads when many are open.
func (p *depot) release(o *opened) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o.readers--
	o.used = p.Now()
	if len(p.open) <= maxOpen {
		return
	}
	var oldest object.OID
	var found *opened
	for oid, o := range p.open {
		if o.readers == 0 && (found == nil || o.used.Before(found.used)) {
			oldest, found = oid, o
		}
	}
	if found != nil {
		delete(p.open, oldest)
		found.Close()
	}
}

// begin lets carousels start, until end.
func (p *depot) begin(start func(func(context.Context))) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.start = start
}

// end closes every object; nobody reads any more.
func (p *depot) end() {
	for _, o := range p.open {
		o.Close()
	}
}
