package usbip

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The first two are those of Linux's documentation.
var requests = []struct {
	name, hex string
	want      Request
	data      int
}{
	{
		"interrupt in", "00000001 00000d05 0001000f 00000001 00000001 00000200 00000040 ffffffff 00000000 00000004 00000000 00000000",
		Request{Submit: &Submit{Sequence: 0xd05, Device: 0x1000f, In: true, Endpoint: 1, Flags: 0x200, Length: 64, Start: 0xffffffff, Interval: 4}}, 0,
	},
	{
		"interrupt out", "00000001 00000d06 0001000f 00000000 00000001 00000000 00000040 ffffffff 00000000 00000004 00000000 00000000",
		Request{Submit: &Submit{Sequence: 0xd06, Device: 0x1000f, Endpoint: 1, Length: 64, Start: 0xffffffff, Interval: 4}}, 64,
	},
	{
		"GETSTATUS", "00000001 00000007 00010001 00000001 00000000 00000000 00000006 00000000 00000000 00000000 a1030000 00000600",
		Request{Submit: &Submit{Sequence: 7, Device: 0x10001, In: true, Length: 6, Setup: [8]byte{0xa1, 3, 0, 0, 0, 0, 6, 0}}}, 0,
	},
	{
		"unlink", "00000002 00000008 00010001 00000001 00000000 00000007 00000000 00000000 00000000 00000000 00000000 00000000",
		Request{Unlink: &Unlink{8, 0x10001, true, 0, 7}}, 0,
	},
}

func TestRequests(t *testing.T) {
	for _, tt := range requests {
		src := unhex(t, tt.hex)
		got, rest, err := ParseRequest(append(src, 1, 2))
		if err != nil || !reflect.DeepEqual(got, tt.want) || len(rest) != 2 || got.Data() != tt.data {
			t.Errorf("%s: %+v, %d of data, %v; want %+v, %d", tt.name, got, got.Data(), err, tt.want, tt.data)
		}
		if again := appendRequest(nil, got); !bytes.Equal(again, src) {
			t.Errorf("%s: written again as %x", tt.name, again)
		}
	}
}

func appendRequest(dst []byte, r Request) []byte {
	if r.Unlink != nil {
		return AppendUnlink(dst, *r.Unlink)
	}
	return AppendSubmit(dst, *r.Submit)
}

var answers = []struct {
	name, hex string
	want      Answer
}{
	{
		"received", "00000003 00000d05 00000000 00000000 00000000 00000000 00000040 00000000 00000000 00000000 00000000 00000000",
		Answer{Done: &Done{0xd05, 0, 64}},
	},
	{
		"stalled", "00000003 00000007 00000000 00000000 00000000 ffffffe0 00000000 00000000 00000000 00000000 00000000 00000000",
		Answer{Done: &Done{7, -32, 0}},
	},
	{
		"taken back", "00000004 00000008 00000000 00000000 00000000 ffffff98 00000000 00000000 00000000 00000000 00000000 00000000",
		Answer{Unlinked: &Unlinked{8, -104}},
	},
}

func TestAnswers(t *testing.T) {
	for _, tt := range answers {
		src := unhex(t, tt.hex)
		got, rest, err := ParseAnswer(append(src, 1, 2))
		if err != nil || !reflect.DeepEqual(got, tt.want) || len(rest) != 2 {
			t.Errorf("%s: %+v, %v, want %+v", tt.name, got, err, tt.want)
		}
		if again := appendAnswer(nil, got); !bytes.Equal(again, src) {
			t.Errorf("%s: written again as %x", tt.name, again)
		}
	}
}

func appendAnswer(dst []byte, a Answer) []byte {
	if a.Unlinked != nil {
		return AppendUnlinked(dst, *a.Unlinked)
	}
	return AppendDone(dst, *a.Done)
}

func TestRefused(t *testing.T) {
	for name, change := range map[string]func([]byte){
		"another command":   func(p []byte) { p[3] = 9 },
		"an answer":         func(p []byte) { p[3] = retSubmit },
		"another direction": func(p []byte) { p[15] = 2 },
		"isochronous":       func(p []byte) { p[35] = 1 },
		"too long":          func(p []byte) { p[25] = 2 },
	} {
		src := unhex(t, requests[2].hex)
		change(src)
		if got, _, err := ParseRequest(src); !errors.Is(err, ErrPacket) {
			t.Errorf("%s: taken as %+v, %v", name, got, err)
		}
	}
	if _, _, err := ParseRequest(make([]byte, HeaderSize-1)); !errors.Is(err, ErrPacket) {
		t.Errorf("a request that is cut: %v", err)
	}
	for _, bad := range []string{requests[0].hex, answers[0].hex[:90], strings.Replace(answers[0].hex, "00000040", "00020000", 1)} {
		if got, _, err := ParseAnswer(unhex(t, bad)); !errors.Is(err, ErrPacket) {
			t.Errorf("%s: taken as %+v, %v", bad, got, err)
		}
	}
}

// FuzzPackets: no panic, and what is taken and written again is taken as the
// same.
func FuzzPackets(f *testing.F) {
	for _, r := range requests {
		f.Add(unhex(f, r.hex))
	}
	for _, a := range answers {
		f.Add(unhex(f, a.hex))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		if r, _, err := ParseRequest(src); err == nil {
			if again, _, err := ParseRequest(appendRequest(nil, r)); err != nil || !reflect.DeepEqual(again, r) {
				t.Errorf("%x was read again as %+v, %v", src, again, err)
			}
		}
		if a, _, err := ParseAnswer(src); err == nil {
			if again, _, err := ParseAnswer(appendAnswer(nil, a)); err != nil || !reflect.DeepEqual(again, a) {
				t.Errorf("%x was read again as %+v, %v", src, again, err)
			}
		}
	})
}

// TestDocumented reads an answer of Linux's documentation.
func TestDocumented(t *testing.T) {
	got, _, err := ParseAnswer(unhex(t, "00000003 00000d06 00000000 00000000 00000000 00000000 00000040 ffffffff 00000000 00000000 00000000 00000000"))
	if want := (Answer{Done: &Done{0xd06, 0, 64}}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("ParseAnswer = %+v, %v, want %+v", got, err, want)
	}
}
