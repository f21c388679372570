package securemsg

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
)

func TestPrologue(t *testing.T) {
	got := AppendPrologue(nil, P256, DeviceID{1, 2}, Kid{3, 4}, SessionID{5, 6})
	const want = "6d6f756c742f3100" + "02" + "01020000000000000000000000000000" + "0304000000000000" + "0506000000000000"
	if hex.EncodeToString(got) != want {
		t.Errorf("AppendPrologue = %x, want %s", got, want)
	}
}

func TestFrameParts(t *testing.T) {
	f, err := ParseFrame(find(t, "frame-hs1").bytes)
	if err != nil {
		t.Fatal(err)
	}
	if k, noise := f.HS1(); k != (Kid{9, 9}) || len(noise) != 32+40+Tag {
		t.Errorf("HS1() = %x, %d bytes", k, len(noise))
	}
	f, err = ParseFrame(find(t, "frame-data").bytes)
	if err != nil {
		t.Fatal(err)
	}
	if n, sealed := f.Data(); n != 258 || len(sealed) != 20+Tag {
		t.Errorf("Data() = %d, %d bytes", n, len(sealed))
	}
}

func TestFrameLimits(t *testing.T) {
	for _, f := range []Frame{
		{Type: Enrol, Body: make([]byte, MaxEnrol)},
		{Type: Data, Suite: X25519, Body: make([]byte, MaxFrame-HeaderSize)},
		{Type: HS2, Suite: X25519, Body: make([]byte, MaxShake)},
	} {
		src := encoded(t)(AppendFrame([]byte("kept"), f))[4:]
		if got, err := ParseFrame(src); err != nil || got.Type != f.Type || !bytes.Equal(got.Body, f.Body) {
			t.Errorf("ParseFrame of %s with %d bytes = %v", f.Type, len(f.Body), err)
		}
		f.Body = append(f.Body, 0)
		if _, err := AppendFrame(nil, f); !errors.Is(err, ErrFrame) {
			t.Errorf("AppendFrame of %s with %d bytes = %v, want ErrFrame", f.Type, len(f.Body), err)
		}
		if _, err := ParseFrame(append(src, 0)); !errors.Is(err, ErrFrame) {
			t.Errorf("ParseFrame of %s with %d bytes = %v, want ErrFrame", f.Type, len(f.Body), err)
		}
	}
}

func TestParseDeviceID(t *testing.T) {
	id := NewDeviceID([]byte("key"))
	if got, err := ParseDeviceID(id.String()); got != id || err != nil {
		t.Errorf("ParseDeviceID(%s) = %s, %v", id, got, err)
	}
	for _, s := range []string{"", id.String()[1:], id.String() + "00", "2C70E12B7A0646F92279F427C7B38E73", "zz" + id.String()[2:], id.String()[:31] + "+"} {
		if _, err := ParseDeviceID(s); !errors.Is(err, ErrMessage) {
			t.Errorf("ParseDeviceID(%q) = %v, want ErrMessage", s, err)
		}
	}
}
