package object

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"testing"
)

// A sample is an object with everything that belongs to it.
type sample struct {
	Spec
	key    Key
	plain  []byte
	sealed [][]byte
	leaves []byte
	list   []byte
}

func pattern(size int) []byte {
	b := make([]byte, size)
	for p := range b {
		b[p] = byte(7*p + p>>8)
	}
	return b
}

// makeSample makes an object with a key and nonce0 of its name.
func makeSample(t testing.TB, name string, k uint8, size int) sample {
	return seal(t, Key(sha256.Sum256([]byte("key"+name))), Nonce(bytes.Repeat([]byte{name[0]}, 16)), k, pattern(size))
}

func seal(t testing.TB, key Key, n Nonce, k uint8, plain []byte) sample {
	t.Helper()
	s := sample{Spec: Spec{Nonce0: n, Chunk: k, Size: int64(len(plain)), Check: key.Check(n)}, key: key, plain: plain}
	c, err := NewCipher(key, s.Spec)
	if err != nil {
		t.Fatal(err)
	}
	for i := range s.Chunks() {
		at := int(s.Offset(i))
		ct := c.Seal(nil, i, plain[at:at+s.ChunkSize(i)])
		leaf := Leaf(n, i, ct)
		s.sealed, s.leaves = append(s.sealed, ct), append(s.leaves, leaf[:]...)
	}
	s.list = ListPages(n, s.leaves)
	s.Root = Root(s.Spec, s.list)
	return s
}

// piece is what an honest keeper has.
func (s sample) piece(k Kind, i int) []byte {
	switch k {
	case Data:
		return s.sealed[i]
	case LeafPage:
		return s.leaves[i*PageLeaves*32:][:s.Leaves(i)*32]
	}
	return s.list
}

func (s sample) answer(k Kind, i int) []byte { return s.forged(k, i, s.piece(k, i)) }

// forged is an answer with whatever bytes; AppendAnswer would refuse some.
func (s sample) forged(k Kind, i int, b []byte) []byte {
	head, err := AppendAnswer(nil, Answer{Data, s.OID().Short(), 0, make([]byte, 17)})
	if err != nil {
		panic(err)
	}
	head = head[:AnswerHeader]
	head[1] = byte(k)
	copy(head[8:], []byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i), byte(len(b) >> 24), byte(len(b) >> 16), byte(len(b) >> 8), byte(len(b))})
	return append(head, b...)
}

// answers are those to r.
func (s sample) answers(r Request) (all [][]byte) {
	for _, i := range r.Indices() {
		all = append(all, s.answer(r.Kind, i))
	}
	return all
}

// verifier returns one with the key, which took pages pieces of the tree.
func (s sample) verifier(t testing.TB, tree int) (*Verifier, *memory) {
	t.Helper()
	to := &memory{}
	v, err := NewVerifier(s.Spec, to, Options{Key: &s.key})
	if err != nil {
		t.Fatal(err)
	}
	for n := range tree {
		msg := s.answer(PageList, 0)
		if n > 0 {
			msg = s.answer(LeafPage, n-1)
		}
		if err := v.Take(msg); err != nil {
			t.Fatal(err)
		}
	}
	return v, to
}

// memory is a file in memory.
type memory struct{ b []byte }

func (m *memory) WriteAt(p []byte, at int64) (int, error) {
	if end := int(at) + len(p); end > len(m.b) {
		m.b = append(m.b, make([]byte, end-len(m.b))...)
	}
	return copy(m.b[at:], p), nil
}

func (m *memory) String() string { return fmt.Sprintf("%d bytes", len(m.b)) }
