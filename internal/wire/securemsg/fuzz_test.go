package securemsg

import (
	"bytes"
	"testing"
)

// Every target: no panic, and what is taken is written again with the same
// bytes. The kept corpus is in testdata/fuzz.

func fuzz(f *testing.F, form string) {
	for _, s := range samples(f) {
		if s.form == form {
			f.Add(s.bytes)
		}
	}
	for _, r := range refusals(f) {
		if r.form == form {
			f.Add(r.bytes)
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		kept := bytes.Clone(src)
		again, err := parsers[form](src)
		if err == nil && !bytes.Equal(again, src) {
			t.Errorf("%x was read as %x", src, again)
		}
		if !bytes.Equal(kept, src) {
			t.Errorf("%x was changed to %x by reading it", kept, src)
		}
	})
}

func FuzzParseFrame(f *testing.F)   { fuzz(f, "frame") }
func FuzzParseUp(f *testing.F)      { fuzz(f, "up") }
func FuzzParseDown(f *testing.F)    { fuzz(f, "down") }
func FuzzParseHello(f *testing.F)   { fuzz(f, "hello") }
func FuzzParseWelcome(f *testing.F) { fuzz(f, "welcome") }
func FuzzParseRequest(f *testing.F) { fuzz(f, "request") }
func FuzzParseAnswer(f *testing.F)  { fuzz(f, "answer") }
