package object

import (
	"bytes"
	"errors"
	"math"
	"runtime"
	"testing"
)

// closed fails the test when anything is handed out.
type closed struct{ t *testing.T }

func (c closed) WriteAt(p []byte, at int64) (int, error) {
	c.t.Errorf("stored %d bytes at %d", len(p), at)
	return len(p), nil
}

// refuses wants msg refused for a reason of the wire, and nothing stored.
func refuses(t *testing.T, v *Verifier, msg []byte, what string, args ...any) {
	t.Helper()
	err := v.Take(msg)
	if !errors.Is(err, ErrFormat) && !errors.Is(err, ErrRefused) && !errors.Is(err, ErrEarly) && !errors.Is(err, ErrHave) {
		t.Errorf(what+": Take = %v, want it refused", append(args, err)...)
	}
}

// TestEveryFlippedBitIsRefused flips each bit of each answer of an object, at
// the step at which that answer is due, with the key and without.
func TestEveryFlippedBitIsRefused(t *testing.T) {
	s := makeSample(t, "flip", MinChunk, 2*512+100)
	for name, o := range map[string]Options{"with the key": {Key: &s.key}, "without the key": {}} {
		v, err := NewVerifier(s.Spec, closed{t}, o)
		if err != nil {
			t.Fatal(err)
		}
		due := [][]byte{s.answer(PageList, 0), s.answer(LeafPage, 0), s.answer(Data, 0), s.answer(Data, 1), s.answer(Data, 2)}
		for n, msg := range due {
			for bit := range 8 * len(msg) {
				flipped := bytes.Clone(msg)
				flipped[bit/8] ^= 1 << (bit % 8)
				refuses(t, v, flipped, "%s, answer %d, bit %d", name, n, bit)
			}
			if n < 2 { // the tree goes on; of the chunks nothing is stored
				if err := v.Take(msg); err != nil {
					t.Fatal(err)
				}
			}
		}
		if v.Missing() != 3 {
			t.Errorf("%s: %d chunks missing, want 3", name, v.Missing())
		}
	}
}

// TestEveryFlippedBitFailsTheCipher is the second wall: behind right leaves.
func TestEveryFlippedBitFailsTheCipher(t *testing.T) {
	s := makeSample(t, "wall", MinChunk, 700)
	c, err := NewCipher(s.key, s.Spec)
	if err != nil {
		t.Fatal(err)
	}
	for bit := range 8 * len(s.sealed[1]) {
		flipped := bytes.Clone(s.sealed[1])
		flipped[bit/8] ^= 1 << (bit % 8)
		if got, err := c.Open(nil, 1, flipped); !errors.Is(err, ErrRefused) || len(got) != 0 {
			t.Fatalf("bit %d: Open = %x, %v, want ErrRefused", bit, got, err)
		}
	}
	if _, err := c.Open(nil, 0, s.sealed[1]); !errors.Is(err, ErrRefused) {
		t.Errorf("chunk 1 opened as chunk 0: %v", err)
	}
}

// TestMisplacedPieces has what a keeper with other true objects can send.
func TestMisplacedPieces(t *testing.T) {
	s, other := makeSample(t, "mine", MinChunk, 300*512), makeSample(t, "other", MinChunk, 300*512)
	renamed := func(k Kind, i int) []byte { return s.forged(k, i, other.piece(k, i)) }
	full, last := s.sealed[5], s.sealed[299]
	tests := map[string][]byte{
		"chunk of another object":          other.answer(Data, 5),
		"chunk of another object, renamed": renamed(Data, 5),
		"page of another object, renamed":  renamed(LeafPage, 2),
		"another index":                    s.forged(Data, 5, s.sealed[6]),
		"index of another page":            s.forged(Data, 5, s.sealed[5+128]),
		"page as another":                  s.forged(LeafPage, 2, s.piece(LeafPage, 1)),
		"truncated":                        s.forged(Data, 5, full[:len(full)-1]),
		"longer":                           s.forged(Data, 5, append(bytes.Clone(full), 0)),
		"last chunk longer":                s.forged(Data, 299, append(bytes.Clone(last), 0)),
		"empty":                            s.forged(Data, 5, nil),
		"page truncated":                   s.forged(LeafPage, 2, s.piece(LeafPage, 2)[32:]),
		"index behind the last":            s.forged(Data, 300, full),
		"largest index":                    s.forged(Data, -1, full),
		"page behind the last":             s.forged(LeafPage, 3, s.piece(LeafPage, 2)),
		"list as a page":                   s.forged(LeafPage, 2, s.list),
		"message cut in the header":        s.answer(Data, 5)[:10],
		"message cut in the bytes":         s.answer(Data, 5)[:100],
		"bytes behind the message":         append(s.answer(Data, 5), 0),
	}
	v, _ := s.verifier(t, 3) // pages 0 and 1
	v.to = closed{t}
	for name, msg := range tests {
		refuses(t, v, msg, "%s", name)
	}
}

// TestWrongKeyIsRefusedBeforeAChunkIsAskedFor leaves nobody to ask.
func TestWrongKeyIsRefusedBeforeAChunkIsAskedFor(t *testing.T) {
	s := makeSample(t, "key", MinChunk, 5000)
	for bit := range 8 * len(s.key) {
		key := s.key
		key[bit/8] ^= 1 << (bit % 8)
		if _, err := NewVerifier(s.Spec, closed{t}, Options{Key: &key}); !errors.Is(err, ErrKey) {
			t.Fatalf("bit %d: NewVerifier = %v, want ErrKey", bit, err)
		}
	}
}

// TestLyingLengthsCostNoMemory sends headers that promise up to 4 GiB.
func TestLyingLengthsCostNoMemory(t *testing.T) {
	s := makeSample(t, "lies", MinChunk, 300*512)
	v, _ := s.verifier(t, 1)
	v.to = closed{t}
	huge := make([]byte, MaxAnswer+1)
	lies := [][]byte{huge}
	for _, k := range []Kind{Data, LeafPage, PageList, 3, 255} {
		for _, n := range []uint32{0, 1, 32, 4097, 1 << 16, 1 << 20, 1 << 31, math.MaxUint32} {
			msg := s.forged(k, 1, nil)
			copy(msg[12:], []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
			lies = append(lies, msg, append(bytes.Clone(msg), huge[:4096]...), append(bytes.Clone(msg), huge[:MaxAnswer-AnswerHeader]...))
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 10 {
		for _, msg := range lies {
			refuses(t, v, msg, "header %x", msg[:AnswerHeader])
		}
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 10*uint64(len(lies))*2048 {
		t.Errorf("%d lies cost %d bytes, want at most 2 KiB each", 10*len(lies), n)
	}
}

// TestTruePiecesCostNoMoreThanTheTree sends a whole tree again and again.
func TestTruePiecesCostNoMoreThanTheTree(t *testing.T) {
	s := makeSample(t, "tree", MinChunk, 2000*512)
	v, _ := s.verifier(t, 1)
	for range 3 {
		for j := range s.Pages() {
			if err := v.Take(s.answer(LeafPage, j)); err != nil && !errors.Is(err, ErrHave) {
				t.Fatal(err)
			}
		}
	}
	held := func() (n int) {
		for _, page := range v.leaves {
			n += cap(page)
		}
		return n
	}
	if got := held(); got > 2000*32+PageLeaves*32 {
		t.Errorf("%d bytes of leaves are held, want those of 2000 chunks", got)
	}
	for i := range s.Chunks() {
		if err := v.Take(s.answer(Data, i)); err != nil {
			t.Fatal(err)
		}
	}
	if held() != 0 {
		t.Errorf("%d bytes of leaves are held of a complete object, want 0", held())
	}
}

// TestKeysStayOutOfLogs prints them.
func TestKeysStayOutOfLogs(t *testing.T) {
	k := Key{1, 2, 3}
	if k.String() != "content key" || k.GoString() != "content key" {
		t.Errorf("a key prints itself as %s, %#v", k, k)
	}
}
