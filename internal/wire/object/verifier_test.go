package object

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
)

// A link loses, doubles and reorders answers, and mixes in forged ones.
type badLink struct {
	*rand.Rand
	s     sample
	queue [][]byte
}

func (l *badLink) ask(r Request) {
	for _, msg := range l.s.answers(r) {
		for range []int{0, 1, 1, 1, 2}[l.IntN(5)] {
			l.queue = append(l.queue, msg)
		}
		if l.IntN(10) == 0 {
			forged := bytes.Clone(msg)
			forged[l.IntN(len(forged))] ^= byte(1 + l.IntN(255))
			l.queue = append(l.queue, forged)
		}
	}
	l.Shuffle(len(l.queue), func(i, j int) { l.queue[i], l.queue[j] = l.queue[j], l.queue[i] })
}

// TestAnyOrderLossAndDoublingEndsInTheSameBytes has seeds 1 to 60.
func TestAnyOrderLossAndDoublingEndsInTheSameBytes(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint("seed ", seed+1), func(t *testing.T) {
			chance := rand.New(rand.NewPCG(seed+1, 0))
			s := makeSample(t, "order", MinChunk, 1+chance.IntN(400*512))
			to := &memory{}
			o := Options{Key: &s.key}
			for cuts := 0; ; cuts++ {
				v, err := NewVerifier(s.Spec, to, o)
				if err != nil {
					t.Fatal(err)
				}
				if receive(t, v, &badLink{Rand: chance, s: s}) {
					break
				}
				o.Have = v.Have() // a power cut
				if o.Have.Count() > 0 && chance.IntN(2) == 0 {
					o.Have.Remove(o.Have.Lacks(0) / 2) // one bit was not on disk yet
				}
				if cuts > 500 {
					t.Fatalf("after %d cuts %d chunks are missing", cuts, v.Missing())
				}
			}
			if !bytes.Equal(to.b, s.plain) {
				t.Errorf("%d bytes came, not the %d that went", len(to.b), len(s.plain))
			}
		})
	}
}

// receive is what a caller does. It returns false when the power was cut.
func receive(t *testing.T, v *Verifier, l *badLink) bool {
	w := Window{Requests: 1 + l.IntN(MaxRequests), Indices: 1 + l.IntN(MaxIndices)}
	for v.Missing() > 0 {
		for _, r := range v.Ask(w) {
			if err := l.s.Allows(r); err != nil {
				t.Fatalf("Ask = %+v: %v", r, err)
			}
			l.ask(r)
		}
		if l.IntN(300) == 0 {
			return false
		}
		if len(l.queue) == 0 {
			for _, r := range v.Waiting() {
				if err := v.Late(r); err != nil {
					t.Fatal(err)
				}
			}
			continue
		}
		msg := l.queue[0]
		l.queue = l.queue[1:]
		err := v.Take(msg)
		if err != nil && !errors.Is(err, ErrRefused) && !errors.Is(err, ErrFormat) && !errors.Is(err, ErrHave) && !errors.Is(err, ErrEarly) {
			t.Fatal(err)
		}
	}
	if w := v.Ask(w); len(w) != 0 {
		t.Errorf("Ask of a complete object = %+v", w)
	}
	return true
}

// TestCacheHoldsCiphertext has no key, and can serve what it took.
func TestCacheHoldsCiphertext(t *testing.T) {
	s := makeSample(t, "cache", MinChunk, 140*512+1)
	to := &memory{}
	v, err := NewVerifier(s.Spec, to, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !receive(t, v, &badLink{Rand: rand.New(rand.NewPCG(4, 4)), s: s}) {
		t.Fatal("power cut; take another seed")
	}
	if want := bytes.Join(s.sealed, nil); !bytes.Equal(to.b, want) {
		t.Errorf("the cache has %d bytes that are not the %d of the ciphertext", len(to.b), len(want))
	}
}

// TestAsk says what is asked for, step by step.
func TestAsk(t *testing.T) {
	s := makeSample(t, "ask", MinChunk, 300*512)
	v, _ := s.verifier(t, 0)
	ask := func(w Window, want ...Request) {
		t.Helper()
		if got := v.Ask(w); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("Ask(%+v) = %v, want %v", w, got, want)
		}
	}
	take := func(k Kind, i int) {
		t.Helper()
		if err := v.Take(s.answer(k, i)); err != nil {
			t.Fatal(err)
		}
	}
	late := func(r Request) {
		t.Helper()
		if err := v.Late(r); err != nil {
			t.Fatal(err)
		}
	}
	ask(Window{}, one(PageList, 0))
	ask(Window{}) // not twice
	late(one(PageList, 0))
	ask(Window{}, one(PageList, 0))
	take(PageList, 0)
	ask(Window{Before: 129}, one(LeafPage, 0), one(LeafPage, 1))
	take(LeafPage, 1)
	ask(Window{Requests: 2, Indices: 3, Before: 130}, Request{Data, 128, Bitmap{3}})
	take(LeafPage, 0)
	ask(Window{Requests: 3, Indices: 3}, Request{Data, 0, Bitmap{7}}, Request{Data, 3, Bitmap{7}})
	take(Data, 4)
	take(Data, 0)
	take(Data, 2)
	late(Request{Data, 0, Bitmap{7}})
	late(Request{Data, 3, Bitmap{7}})
	late(Request{Data, 128, Bitmap{3}})
	ask(Window{Requests: 1, Indices: 5}, Request{Data, 1, Bitmap{0b1110101}})
}

// TestBarrenRequests gives up after 32 in a row, not before, and not when
// something that fits came in between.
func TestBarrenRequests(t *testing.T) {
	s := makeSample(t, "barren", MinChunk, 3*512)
	v, _ := s.verifier(t, 2)
	barren := func(n int) (err error) {
		for range n {
			for _, r := range v.Ask(Window{Requests: 1, Indices: 1}) {
				v.Take(s.forged(Data, int(r.First), make([]byte, 512+16)))
				err = errors.Join(err, v.Late(r))
			}
		}
		return err
	}
	if err := barren(MaxBarren - 1); err != nil {
		t.Fatalf("after %d barren requests: %v", MaxBarren-1, err)
	}
	if err := v.Take(s.answer(Data, 2)); err != nil {
		t.Fatal(err)
	}
	if err := barren(MaxBarren - 1); err != nil {
		t.Fatalf("after a chunk and %d barren requests: %v", MaxBarren-1, err)
	}
	if err := barren(1); !errors.Is(err, ErrBarren) {
		t.Errorf("after %d barren requests: %v, want ErrBarren", MaxBarren, err)
	}
}

// TestHalfAnsweredRequestIsNotBarren has 31 barren ones after it.
func TestHalfAnsweredRequestIsNotBarren(t *testing.T) {
	s := makeSample(t, "half", MinChunk, 3*512)
	v, _ := s.verifier(t, 2)
	half := v.Ask(Window{Requests: 1, Indices: 2})[0]
	if err := v.Take(s.answer(Data, 1)); err != nil {
		t.Fatal(err)
	}
	for range MaxBarren - 1 {
		if err := v.Late(v.Ask(Window{Requests: 2, Indices: 1})[0]); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.Late(half); err != nil {
		t.Errorf("Late(%+v) = %v, want nil", half, err)
	}
}

var errFull = errors.New("no room")

type full struct{}

func (full) WriteAt([]byte, int64) (int, error) { return 0, errFull }

// TestChunkThatCannotBeStoredIsStillMissing keeps have and disk in step.
func TestChunkThatCannotBeStoredIsStillMissing(t *testing.T) {
	s := makeSample(t, "full", MinChunk, 512)
	v, to := s.verifier(t, 2)
	v.to = full{}
	if err := v.Take(s.answer(Data, 0)); !errors.Is(err, errFull) || v.Missing() != 1 || v.Have().Has(0) {
		t.Errorf("Take = %v, %d missing, want %v and 1", err, v.Missing(), errFull)
	}
	v.to = to
	if err := v.Take(s.answer(Data, 0)); err != nil || v.Missing() != 0 {
		t.Errorf("Take again = %v, %d missing, want 0", err, v.Missing())
	}
}

func TestResumeRefusesAForeignBitmap(t *testing.T) {
	s := makeSample(t, "resume", MinChunk, 10*512)
	for name, have := range map[string]Bitmap{"short": {0}, "long": {0, 0, 0}, "beyond": {0, 4}} {
		if _, err := NewVerifier(s.Spec, &memory{}, Options{Have: have}); err == nil {
			t.Errorf("%s: NewVerifier = nil, want an error", name)
		}
	}
}
