package mqttlink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/moult-ota/moult/internal/link"
	"github.com/moult-ota/moult/internal/wire/object"
	"github.com/moult-ota/moult/internal/wire/securemsg"
	"github.com/moult-ota/moult/internal/wire/topic"
)

// Waits for pieces that may have been lost.
const (
	pieceWait    = 2 * time.Second        // until a round trip was measured; then four of those
	pieceSoonest = 250 * time.Millisecond // but not less
	pieceLongest = 5 * time.Minute        // doubled up to here when nothing comes at all
)

// scheme begins the address of an object.
const scheme = "moult-object:"

// take keeps an assignment that answers a check-in, and offers it.
func (l *Link) take(a securemsg.Assignment) (link.Offer, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.kept
	if err := a.For(l.id, k.Last, k.Working, l.clock.now(l.o.Now())); err != nil {
		return link.Offer{}, err
	}
	s := spec(a)
	if err := s.Valid(); err != nil {
		return link.Offer{}, err
	}
	if object.Key(a.Object.Key).Check(s.Nonce0) != s.Check {
		return link.Offer{}, fmt.Errorf("take assignment %d: %w", a.Number, object.ErrKey)
	}
	if err := k.take(a); err != nil {
		return link.Offer{}, err
	}
	return link.Offer{
		Deployment: a.Deployment, Artifact: a.Artifact.Name, DeviceTypes: a.Artifact.DeviceTypes,
		URI: scheme + s.OID().String(), Size: a.Artifact.Size,
	}, nil
}

func spec(a securemsg.Assignment) object.Spec {
	o := a.Object
	return object.Spec{Root: o.Root, Nonce0: o.Nonce0, Chunk: o.Chunk, Size: a.Artifact.Size, Check: o.Check}
}

// tidy removes what lies in the cache but for one object, and with none also
// the assignment.
func (l *Link) tidy(keep string) {
	if l.o.Cache == nil {
		return
	}
	if keep == "" {
		l.mu.Lock()
		err := l.kept.done()
		l.mu.Unlock()
		if err != nil {
			l.o.Log.Warn("forget assignment", "error", err)
		}
	}
	names, err := l.o.Cache.Names()
	for _, name := range names {
		if keep == "" || !strings.HasPrefix(name, keep) {
			err = errors.Join(err, l.o.Cache.Remove(name))
		}
	}
	if err != nil {
		l.o.Log.Warn("clear cache", "error", err)
	}
}

// Open opens the object of the assignment under way. What came before a power
// cut is not asked for again.
func (l *Link) Open(ctx context.Context, uri string, offset int64) (link.Stream, error) {
	l.mu.Lock()
	a, ok := l.kept.assignment()
	off := l.off
	known := l.clock != serverClock{}
	now := l.clock.now(l.o.Now())
	l.mu.Unlock()
	s := spec(a)
	switch {
	case !ok || uri != scheme+s.OID().String():
		return link.Stream{}, link.ErrExpired
	case off == a.Deployment:
		return link.Stream{}, link.ErrCanceled
	case known && now.Unix() >= int64(a.Expires):
		return link.Stream{}, link.ErrExpired
	case l.o.Cache == nil:
		return link.Stream{}, errors.New("open object: this device has no place for downloads")
	}
	l.tidy(s.OID().String())
	f, err := l.begin(ctx, a)
	if err != nil {
		return link.Stream{}, fmt.Errorf("open object: %w", err)
	}
	f.at = offset
	return link.Stream{Body: f, Total: a.Artifact.Size, Tag: s.OID().String()}, nil
}

// A fetch is one object on its way, read while it comes.
type fetch struct {
	link *Link
	oid  string
	size int64
	stop context.CancelFunc
	over chan struct{} // closed when run has ended

	mu    sync.Mutex
	v     *object.Verifier
	shelf *shelf
	err   error
	came  chan struct{} // holds a token when something changed
	ask   chan struct{} // and one for who asks for pieces
	moved time.Time     // when a piece came last
	asked time.Time     // when something was asked for; zero: a piece came since
	trip  time.Duration // about how long that took; 0: not known
	at    int64         // of the reader
}

func (l *Link) begin(ctx context.Context, a securemsg.Assignment) (*fetch, error) {
	s := spec(a)
	h, err := openShelf(l.o.Cache, s)
	if err != nil {
		return nil, err
	}
	key := object.Key(a.Object.Key)
	v, err := object.NewVerifier(s, h, object.Options{Key: &key, Have: h.have})
	if err != nil {
		return nil, errors.Join(err, h.close())
	}
	l.o.Log.Info("object", "oid", s.OID(), "chunks", s.Chunks(), "missing", v.Missing())
	ctx, stop := context.WithCancel(ctx)
	f := &fetch{link: l, oid: s.OID().String(), size: s.Size, stop: stop, over: make(chan struct{}), v: v, shelf: h,
		came: make(chan struct{}, 1), ask: make(chan struct{}, 1), moved: time.Now()}
	l.mu.Lock()
	l.fetch = f
	l.mu.Unlock()
	go f.run(ctx)
	return f, nil
}

// Close ends the fetch, and keeps what came.
func (f *fetch) Close() error {
	f.stop()
	<-f.over
	f.link.mu.Lock()
	if f.link.fetch == f {
		f.link.fetch = nil
	}
	f.link.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.shelf == nil {
		return nil
	}
	err := f.shelf.close()
	f.shelf = nil
	f.failed(io.ErrClosedPipe)
	return err
}

// Read reads on as soon as the next chunk is there.
func (f *fetch) Read(p []byte) (int, error) {
	for {
		n, err := f.read(p)
		if n > 0 || err != nil {
			return n, err
		}
		select {
		case <-f.came:
		case <-f.over:
			if n, err := f.read(p); n > 0 || err != nil {
				return n, err
			}
			return 0, io.ErrUnexpectedEOF
		}
	}
}

// read reads what is there; 0 and nil for not yet.
func (f *fetch) read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.shelf == nil {
		return 0, f.err
	}
	s := f.shelf.spec
	if f.at >= f.size {
		return 0, io.EOF
	}
	i := int(f.at >> s.Chunk)
	if !f.shelf.have.Has(i) {
		return 0, f.err
	}
	rest := s.Offset(i) + int64(s.ChunkSize(i)) - f.at
	n, err := f.shelf.data.ReadAt(p[:min(int64(len(p)), rest)], f.at)
	f.at += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

// take takes a piece from the broker; one that does not fit changes nothing.
func (f *fetch) take(message []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.shelf == nil || f.err != nil {
		return
	}
	err := f.v.Take(message)
	switch {
	case err == nil:
	case errors.Is(err, object.ErrFormat), errors.Is(err, object.ErrRefused), errors.Is(err, object.ErrHave), errors.Is(err, object.ErrEarly):
		return
	default:
		f.failed(err)
		return
	}
	f.moved = time.Now()
	if !f.asked.IsZero() {
		f.trip, f.asked = (f.trip+f.moved.Sub(f.asked))/2, time.Time{}
	}
	if a, err := object.ParseAnswer(message); err == nil && a.Kind == object.Data {
		f.shelf.have.Add(int(a.Index))
	}
	if f.shelf.full() || f.v.Missing() == 0 {
		if err := f.shelf.commit(); err != nil {
			f.failed(err)
		}
	}
	token(f.came)
	token(f.ask)
}

// fail ends the fetch.
func (f *fetch) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failed(err)
}

func (f *fetch) failed(err error) {
	if f.err == nil {
		f.err = err
	}
	token(f.came)
	token(f.ask)
}

func token(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run asks for pieces until all are there.
func (f *fetch) run(ctx context.Context) {
	defer close(f.over)
	if !f.link.o.Metered {
		t := topic.Carousel(f.oid)
		if err := f.link.line.listen(ctx, t); err != nil {
			f.link.o.Log.Debug("listen to carousel", "error", err)
		}
		defer f.link.line.ignore(t)
	}
	for wait := pieceWait; ; {
		requests, done := f.requests()
		if done {
			return
		}
		if err := f.publish(ctx, requests); err != nil {
			if ctx.Err() != nil {
				return
			}
			f.link.o.Log.Debug("ask for pieces", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-f.ask:
			wait = f.patience()
		case <-f.link.line.lost:
			f.late(0)
		case <-time.After(wait + f.link.jitter(wait/4)):
			if err := f.late(wait / 2); err != nil {
				f.fail(err)
			}
			wait = min(2*wait, pieceLongest)
		}
	}
}

// patience is how long the next piece may take.
func (f *fetch) patience() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.trip == 0 {
		return pieceWait
	}
	return max(4*f.trip, pieceSoonest)
}

// requests are those to publish now; done says that there is nothing left to
// ask for.
func (f *fetch) requests() (rs []object.Request, done bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil || f.v.Missing() == 0 {
		return nil, true
	}
	return f.v.Ask(object.Window{Requests: object.MaxRequests, Indices: object.MaxIndices}), false
}

func (f *fetch) publish(ctx context.Context, rs []object.Request) error {
	if len(rs) == 0 {
		return nil
	}
	if err := f.link.ready(ctx); err != nil {
		return err
	}
	f.mu.Lock()
	if f.asked.IsZero() {
		f.asked = time.Now()
	}
	f.mu.Unlock()
	for _, r := range rs {
		text, err := object.AppendRequest(nil, r)
		if err != nil {
			return err
		}
		if err := f.link.line.publish(ctx, topic.Get(f.oid, f.link.ID()), text); err != nil {
			return err
		}
	}
	return nil
}

// late gives up requests after a while in which nothing came.
func (f *fetch) late(quiet time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.moved) < quiet {
		return nil
	}
	for _, r := range f.v.Waiting() {
		if err := f.v.Late(r); err != nil {
			return err
		}
	}
	return nil
}
