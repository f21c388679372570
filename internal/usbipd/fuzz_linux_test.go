package usbipd

import (
	"bytes"
	"io"
	"testing"

	"github.com/moult-ota/moult/internal/wire/usbip"
)

// A line is a connection that has said all.
type line struct {
	io.Reader
	io.Writer
}

// FuzzServe: nothing that comes does harm.
func FuzzServe(f *testing.F) {
	f.Add(usbip.AppendSubmit(nil, usbip.Submit{Sequence: 1, In: true, Length: 64, Setup: setup(0x80, 6, 0x100, 0, 64)}))
	f.Add(append(usbip.AppendSubmit(nil, usbip.Submit{Sequence: 1, Length: 2, Setup: setup(0x21, 1, 0, 0, 2)}), 1, 2))
	f.Add(usbip.AppendUnlink(usbip.AppendSubmit(nil, usbip.Submit{Sequence: 1, Setup: setup(0, setConfiguration, 1, 0, 0)}), usbip.Unlink{Sequence: 2, Submit: 1}))
	f.Fuzz(func(t *testing.T, src []byte) {
		var out bytes.Buffer
		_ = Serve(line{bytes.NewReader(src), &out}, gadget())
		for rest := out.Bytes(); len(rest) > 0; {
			a, more, err := usbip.ParseAnswer(rest)
			if err != nil {
				t.Fatalf("it answered %x: %v", rest, err)
			}
			if rest = more; a.Done != nil && len(more) >= int(a.Done.Length) && len(more)%usbip.HeaderSize != 0 {
				rest = more[a.Done.Length:]
			}
		}
	})
}
