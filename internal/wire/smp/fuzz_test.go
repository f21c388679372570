package smp

import (
	"bytes"
	"reflect"
	"testing"
)

// Every target: no panic, and what is taken and written again is taken as the
// same. The kept corpus is in testdata/fuzz.

func FuzzParsePacket(f *testing.F) {
	for _, g := range golden {
		f.Add(unhex(f, g.packet))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		p, rest, err := ParsePacket(src)
		if err != nil {
			return
		}
		again, err := AppendPacket(nil, p)
		q, _, err2 := ParsePacket(again)
		if err != nil || err2 != nil || !reflect.DeepEqual(p, q) || len(again)+len(rest) != len(src) {
			t.Errorf("%x was written again as %x: %v, %v", src, again, err, err2)
		}
	})
}

// FuzzParseMessages reads one input as every message, and as an error.
func FuzzParseMessages(f *testing.F) {
	for _, trip := range trips {
		body, err := AppendBody(nil, trip.message)
		check(f, err)
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		_ = ParseError(src)
		for name, trip := range trips {
			m, err := trip.parse(src)
			if err != nil {
				continue
			}
			again, err := AppendBody(nil, m)
			check(t, err)
			n, err := trip.parse(again)
			check(t, err)
			if third, err := AppendBody(nil, n); err != nil || !bytes.Equal(third, again) {
				t.Errorf("%s: %x was written as %x, then as %x: %v", name, src, again, third, err)
			}
		}
	})
}

// FuzzLines wants a packet to be found after any noise that ends its line.
func FuzzLines(f *testing.F) {
	for _, g := range golden {
		f.Add([]byte(g.line))
	}
	f.Add([]byte("\x06\x09AAAA\n\x04\x14noise\x06"))
	f.Fuzz(func(t *testing.T, noise []byte) {
		l := &Lines{Most: 4096}
		_, _ = l.Write(append(bytes.Clone(noise), '\n'))
		for p := l.Next(); p != nil; p = l.Next() {
			if len(p) > l.Most {
				t.Errorf("a packet of %d bytes", len(p))
			}
		}
		_, _ = l.Write(AppendLines(nil, []byte("after")))
		if p := l.Next(); string(p) != "after" {
			t.Errorf("after %q came %q", noise, p)
		}
	})
}
