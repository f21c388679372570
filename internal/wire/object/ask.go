package object

import "fmt"

// Limits of a Window.
const (
	MaxRequests     = 16 // that wait for answers at a time
	defaultRequests = 8
	defaultIndices  = 8
)

// A Window bounds what is asked for ahead of the answers.
type Window struct {
	Requests int // that wait at a time, at most MaxRequests; 0 means 8
	Indices  int // chunks of one request, at most MaxIndices; 0 means 8
	Before   int // ask for no chunk from this one on; 0 means all may be asked for
}

// asked is a request that waits for answers.
type asked struct {
	request Request
	waiting Bitmap // a copy of Wanted without what came
	came    bool   // anything at all
}

// Ask returns the requests that fill the window, lowest chunks first. It asks
// for nothing twice before Late.
func (v *Verifier) Ask(w Window) []Request {
	w = v.bound(w)
	var all []Request
	for len(v.out) < w.Requests {
		r, ok := v.next(w)
		if !ok {
			break
		}
		v.out = append(v.out, asked{r, append(Bitmap{}, r.Wanted...), false})
		all = append(all, r)
	}
	return all
}

// Late gives up the answers to r that did not come; Ask returns them again.
// When and after what wait is the caller's. ErrBarren means that MaxBarren
// requests in a row brought nothing: report it, and come back much later. The
// count starts anew then.
func (v *Verifier) Late(r Request) error {
	for n, o := range v.out {
		if o.request.Kind != r.Kind || o.request.First != r.First {
			continue
		}
		v.out = append(v.out[:n], v.out[n+1:]...)
		if !o.came {
			v.barren++
		}
		break
	}
	if v.barren < MaxBarren {
		return nil
	}
	v.barren = 0
	return fmt.Errorf("object %s, %d of %d chunks missing, %d requests: %w", v.spec.OID(), v.left, v.spec.Chunks(), MaxBarren, ErrBarren)
}

// Waiting are the requests that wait for answers, oldest first.
func (v *Verifier) Waiting() []Request {
	var all []Request
	for _, o := range v.out {
		all = append(all, o.request)
	}
	return all
}

func (v *Verifier) bound(w Window) Window {
	if w.Requests <= 0 {
		w.Requests = defaultRequests
	}
	if w.Indices <= 0 {
		w.Indices = defaultIndices
	}
	if w.Before <= 0 {
		w.Before = v.spec.Chunks()
	}
	return Window{min(w.Requests, MaxRequests), min(w.Indices, v.spec.AtOnce(Data)), min(w.Before, v.spec.Chunks())}
}

// next returns the request for the lowest thing that is missing.
func (v *Verifier) next(w Window) (Request, bool) {
	i := v.have.Lacks(0)
	if v.list == nil {
		return one(PageList, 0), i < w.Before && !v.waits(PageList, 0)
	}
	for ; i < w.Before; i = v.have.Lacks(i) {
		j := i / PageLeaves
		switch {
		case v.leaves[j] == nil && !v.waits(LeafPage, j):
			return one(LeafPage, j), true
		case v.leaves[j] == nil:
			i = (j + 1) * PageLeaves
		case v.waits(Data, i):
			i++
		default:
			return v.chunks(i, w), true
		}
	}
	return Request{}, false
}

func one(k Kind, i int) Request { return Request{k, uint32(i), Bitmap{1}} }

// chunks asks for chunk i and for those behind it that can be checked.
func (v *Verifier) chunks(first int, w Window) Request {
	wanted := NewBitmap(MaxSpan)
	n, end := 0, 0
	for i := first; i < min(w.Before, first+MaxSpan) && n < w.Indices; i = v.have.Lacks(i + 1) {
		if v.leaves[i/PageLeaves] == nil || v.waits(Data, i) {
			continue
		}
		wanted.Add(i - first)
		n, end = n+1, i-first
	}
	return Request{Data, uint32(first), wanted[:end/8+1]}
}

func (v *Verifier) waits(k Kind, i int) bool {
	for _, o := range v.out {
		if o.request.Kind == k && o.waiting.Has(i-int(o.request.First)) {
			return true
		}
	}
	return false
}

// answered notes that a piece came, asked for or not.
func (v *Verifier) answered(k Kind, i int) {
	v.barren = 0
	for n := range v.out {
		o := &v.out[n]
		at := i - int(o.request.First)
		if o.request.Kind != k || !o.waiting.Has(at) {
			continue
		}
		o.came = true
		if o.waiting.Remove(at); o.waiting.Count() == 0 {
			v.out = append(v.out[:n], v.out[n+1:]...)
		}
		return
	}
}
