package dfu

import (
	"bytes"
	"reflect"
	"testing"
)

// Every target: no panic, and what is taken and written again is taken as the
// same.

func FuzzDescriptors(f *testing.F) {
	f.Add(unhex(f, zephyr))
	for _, g := range functionals {
		f.Add(unhex(f, g.hex))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		_, _ = ParseDevice(src)
		one, _, err := ParseFunctional(src)
		if err != nil {
			return
		}
		if two, rest, err := ParseFunctional(AppendFunctional(nil, one)); err != nil || one != two || len(rest) > 0 {
			t.Errorf("%+v was read again as %+v, %v", one, two, err)
		}
	})
}

func FuzzSuffix(f *testing.F) {
	f.Add(unhex(f, moult))
	f.Add([]byte("moult"))
	f.Fuzz(func(t *testing.T, src []byte) {
		s, body, found, err := ParseSuffix(src)
		if !found || err != nil || len(src)-len(body) != SuffixSize {
			return
		}
		if again := AppendSuffix(bytes.Clone(body), s); !bytes.Equal(again, src) {
			t.Errorf("%x was written again as %x", src, again)
		}
	})
}

func FuzzCommand(f *testing.F) {
	for _, text := range []string{"2100000108", "4100c00308", "41", "92", "000800000200"} {
		f.Add(unhex(f, text))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		if c, err := ParseCommand(src); err == nil && !bytes.Equal(AppendCommand(nil, c), src) {
			t.Errorf("%x was written again as %x", src, AppendCommand(nil, c))
		}
		if s, rest, err := ParseStatus(src); err == nil && !bytes.Equal(append(AppendStatus(nil, s), rest...), src) {
			t.Errorf("%x was written again as %x", src, AppendStatus(nil, s))
		}
	})
}

// FuzzLayout wants the sectors of a map to be such that Pages finds them all.
func FuzzLayout(f *testing.F) {
	f.Add(stm32)
	f.Add(two)
	f.Fuzz(func(t *testing.T, text string) {
		l, err := ParseLayout(text)
		if err != nil {
			return
		}
		for _, s := range l.Segments {
			first, ok := l.segment(uint64(s.Address))
			if !ok || first.Count == 0 || first.Size == 0 {
				t.Errorf("%q: %+v is not found again", text, s)
			}
			_, _ = l.Pages(s.Address, s.Count*s.Size%(1<<20))
		}
	})
}

func FuzzContainer(f *testing.F) {
	src, err := AppendContainer(nil, targets)
	check(f, err)
	f.Add(src)
	f.Fuzz(func(t *testing.T, src []byte) {
		one, err := ParseContainer(src)
		if err != nil {
			return
		}
		again, err := AppendContainer(nil, one)
		check(t, err)
		if two, err := ParseContainer(again); err != nil || !reflect.DeepEqual(one, two) {
			t.Errorf("%+v was read again as %+v, %v", one, two, err)
		}
	})
}
