package object

import (
	"bytes"
	"path/filepath"
	"testing"
)

// seeds adds the vectors of a form.
func seeds(f *testing.F, form string) {
	files, _ := filepath.Glob("testdata/vectors/*" + form + "-*.txt")
	if len(files) == 0 {
		f.Fatalf("no vectors of %s", form)
	}
	t := &testing.T{}
	for _, file := range files {
		f.Add(readVector(t, file).bytes("bytes"))
	}
}

// FuzzParseRequest fails when a request is accepted that would be written
// otherwise, or that asks for more than it may.
func FuzzParseRequest(f *testing.F) {
	seeds(f, "request")
	f.Fuzz(func(t *testing.T, src []byte) {
		r, err := ParseRequest(src)
		if err != nil {
			return
		}
		if again, err := AppendRequest(nil, r); err != nil || !bytes.Equal(again, src) {
			t.Errorf("ParseRequest accepts %x and writes it as %x, %v", src, again, err)
		}
		if n := len(r.Indices()); n < 1 || n > MaxIndices || cap(r.Wanted) > MaxRequest {
			t.Errorf("%d indices in a bitmap of %d bytes", n, cap(r.Wanted))
		}
	})
}

// FuzzParseAnswer fails when an answer is accepted that would be written
// otherwise, and when a verifier takes one that is not true.
func FuzzParseAnswer(f *testing.F) {
	seeds(f, "answer")
	s := makeSample(f, "fuzz", MinChunk, 700)
	genuine := map[string]bool{}
	for _, msg := range [][]byte{s.answer(PageList, 0), s.answer(LeafPage, 0), s.answer(Data, 0), s.answer(Data, 1)} {
		f.Add(msg)
		genuine[string(msg)] = true
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		if a, err := ParseAnswer(src); err == nil {
			if again, err := AppendAnswer(nil, a); err != nil || !bytes.Equal(again, src) {
				t.Errorf("ParseAnswer accepts %x and writes it as %x, %v", src, again, err)
			}
		}
		for tree := range 3 {
			v, _ := s.verifier(t, tree)
			if err := v.Take(src); err == nil && !genuine[string(src)] {
				t.Errorf("Take accepts %x", src)
			}
		}
	})
}
