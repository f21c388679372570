package object

import (
	"errors"
	"testing"
)

func TestSpecSizes(t *testing.T) {
	tests := []struct {
		k                   uint8
		size                int64
		chunks, pages, last int // of the last chunk
	}{
		{9, 1, 1, 1, 1},
		{9, 512, 1, 1, 512},
		{9, 513, 2, 1, 1},
		{12, 128 << 12, 128, 1, 4096},
		{12, 128<<12 + 1, 129, 2, 1},
		{12, 4 << 20, 1024, 8, 4096},
		{12, 512 << 20, MaxChunks, MaxPages, 4096},
		{16, 8 << 30, MaxChunks, MaxPages, 1 << 16},
	}
	for _, tt := range tests {
		s := Spec{Chunk: tt.k, Size: tt.size}
		if err := s.Valid(); err != nil {
			t.Errorf("%d bytes of 2^%d: Valid = %v", tt.size, tt.k, err)
		}
		if c, p, l := s.Chunks(), s.Pages(), s.ChunkSize(s.Chunks()-1); c != tt.chunks || p != tt.pages || l != tt.last {
			t.Errorf("%d bytes of 2^%d: %d chunks, %d pages, last %d, want %d, %d, %d", tt.size, tt.k, c, p, l, tt.chunks, tt.pages, tt.last)
		}
	}
}

func TestChunkFor(t *testing.T) {
	for size, want := range map[int64]uint8{1: 12, 512 << 20: 12, 512<<20 + 1: 13, 8 << 30: 16} {
		if got, err := ChunkFor(size); got != want || err != nil {
			t.Errorf("ChunkFor(%d) = %d, %v, want %d", size, got, err, want)
		}
	}
	for _, size := range []int64{-1 << 62, -1, 0, 8<<30 + 1, 1<<63 - 1} {
		if got, err := ChunkFor(size); !errors.Is(err, ErrSpec) {
			t.Errorf("ChunkFor(%d) = %d, %v, want ErrSpec", size, got, err)
		}
	}
}

func TestOID(t *testing.T) {
	want := OID{0: 0xab, 15: 1}
	if got, err := ParseOID(want.String()); got != want || err != nil {
		t.Errorf("ParseOID(%s) = %v, %v", want, got, err)
	}
	for _, text := range []string{"", "ab", "AB000000000000000000000000000001", "ab0000000000000000000000000000010", "../../../../../../../../../../../", "zz000000000000000000000000000001"} {
		if got, err := ParseOID(text); err == nil {
			t.Errorf("ParseOID(%q) = %v, want an error", text, got)
		}
	}
}

func TestAllows(t *testing.T) {
	big, small := Spec{Chunk: 16, Size: 100 << 16}, Spec{Chunk: 9, Size: 200 * 512}
	all := Bitmap{255, 255, 255, 255, 255, 255, 255, 255}
	tests := []struct {
		name string
		s    Spec
		r    Request
		ok   bool
	}{
		{"4 of 64 KiB", big, Request{Data, 96, Bitmap{15}}, true},
		{"5 of 64 KiB", big, Request{Data, 0, Bitmap{31}}, false},
		{"64 of 512", small, Request{Data, 136, all}, true},
		{"behind the last", small, Request{Data, 137, all}, false},
		{"the page list", small, one(PageList, 0), true},
		{"two page lists", small, Request{PageList, 0, Bitmap{3}}, false},
		{"page 1 of 2", small, one(LeafPage, 1), true},
		{"page 2 of 2", small, one(LeafPage, 2), false},
		{"no request", small, Request{}, false},
	}
	for _, tt := range tests {
		if err := tt.s.Allows(tt.r); (err == nil) != tt.ok {
			t.Errorf("%s: Allows(%+v) = %v, want ok %v", tt.name, tt.r, err, tt.ok)
		}
	}
}

func TestBitmap(t *testing.T) {
	b := NewBitmap(20)
	for _, i := range []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 19} {
		b.Add(i)
	}
	if len(b) != 3 || b.Count() != 10 || b.Has(9) || !b.Has(19) || b.Has(-1) || b.Has(24) {
		t.Errorf("bitmap %x", b)
	}
	for from, want := range map[int]int{0: 9, 3: 9, 9: 9, 19: 20, 100: 100} {
		if got := b.Lacks(from); got != want {
			t.Errorf("Lacks(%d) = %d, want %d", from, got, want)
		}
	}
	if b.Remove(4); b.Lacks(0) != 4 {
		t.Errorf("Lacks(0) = %d after Remove(4)", b.Lacks(0))
	}
}
