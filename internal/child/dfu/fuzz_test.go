package dfu

import (
	"errors"
	"strings"
	"testing"
)

// A said is a Transport that answers one request for a string.
type said struct {
	Transport
	text []byte
}

func (s said) Control(_, _ uint8, value, _ uint16, data []byte) (int, error) {
	if value&255 == 0 {
		return copy(data, []byte{4, 3, 9, 4}), nil
	}
	return copy(data, s.text), nil
}

// FuzzText: no string of a device, no memory map in it, does harm.
func FuzzText(f *testing.F) {
	f.Add([]byte("\x10\x03i\x00m\x00a\x00g\x00e\x00_\x001\x00"))
	f.Add([]byte{255, 3, 0})
	f.Add([]byte{0, 3})
	f.Add([]byte{1, 3, 9, 9})
	f.Fuzz(func(t *testing.T, raw []byte) {
		name, err := text(said{text: raw}, 1)
		if err != nil || len(name) > 3*maxString {
			t.Errorf("%x is %q, %v", raw, name, err)
		}
		_ = calls(name, "image_1")
	})
}

// FuzzProgram: nothing that dfu-util prints does harm, and bytes are told in
// order.
func FuzzProgram(f *testing.F) {
	f.Add([]byte("\rDownload\t[=====   ]  45%        31744 bytes\r\n"), 7)
	f.Add([]byte("state(10) = dfuERROR, status(300) = x\nLost device"), 1)
	f.Fuzz(func(t *testing.T, out []byte, cut int) {
		last := int64(-1)
		p := &progress{told: func(n int64) {
			if n <= last {
				t.Errorf("%q: told %d after %d", out, n, last)
			}
			last = n
		}}
		at := max(0, min(cut, len(out)))
		for _, part := range [][]byte{out[:at], out[at:]} {
			if n, err := p.Write(part); n != len(part) || err != nil {
				t.Errorf("Write = %d, %v", n, err)
			}
		}
		if len(p.text) > maxOutput || len(p.line) > maxAttribute {
			t.Errorf("it keeps %d and %d bytes", len(p.text), len(p.line))
		}
		if err := meaning(errors.New("exit status 74"), string(out)); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q means %v", out, err)
		}
		listLine.FindAllStringSubmatch(string(out), -1)
	})
}
