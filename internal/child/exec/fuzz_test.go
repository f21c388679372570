package exec

import "testing"

// FuzzState: what a program prints is a state with a version, or an error.
func FuzzState(f *testing.F) {
	f.Add("version=1.2.3+4\nhash=0000000000000000000000000000000000000000000000000000000000000000\nconfirmed=yes\nother_pending=no\n")
	f.Add("version=1.0")
	f.Add("version=1.0\nversion=2.0")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseState(text)
		if err != nil {
			return
		}
		if n := len(s.Running.Hash); n != 0 && n != 32 {
			t.Errorf("hash of %d bytes", n)
		}
		if n := len(s.Other.Hash); n != 0 && n != 32 {
			t.Errorf("other hash of %d bytes", n)
		}
	})
}
