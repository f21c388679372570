package smp

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	p, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Computed by others' implementations; see FORMAT.md for the source.
var golden = []struct {
	name    string
	version uint8
	packet  string
	line    string
}{
	{"v1", V1, "0200 0009 0000 2a00 a161646568656c6c6f", "\x06\x09ABMCAAAJAAAqAKFhZGVoZWxsb40o\n"},
	{"v2", V2, "0a00 0009 0000 2a00 a161646568656c6c6f", "\x06\x09ABMKAAAJAAAqAKFhZGVoZWxsbwo4\n"},
}

func TestGoldenEcho(t *testing.T) {
	for _, tt := range golden {
		t.Run(tt.name, func(t *testing.T) {
			body, err := AppendBody(nil, EchoRequest{"hello"})
			check(t, err)
			want := Packet{Op: Write, Version: tt.version, Command: Echo, Sequence: 42, Body: body}
			got, err := AppendPacket(nil, want)
			check(t, err)
			if !bytes.Equal(got, unhex(t, tt.packet)) {
				t.Errorf("AppendPacket = %x, want %s", got, tt.packet)
			}
			if line := AppendLines(nil, got); string(line) != tt.line {
				t.Errorf("AppendLines = %q, want %q", line, tt.line)
			}
			p, rest, err := ParsePacket(got)
			if err != nil || len(rest) != 0 || !reflect.DeepEqual(p, want) {
				t.Errorf("ParsePacket = %+v, %x, %v; want %+v", p, rest, err, want)
			}
		})
	}
}

func TestCRC16(t *testing.T) {
	if got := CRC16([]byte("123456789")); got != 0x31c3 {
		t.Errorf("CRC16 = %04x, want 31c3", got)
	}
}

func ref[T any](v T) *T { return &v }

// trips has one of every message: its bytes after a trip there and back.
var trips = map[string]struct {
	message Message
	parse   func([]byte) (Message, error)
}{
	"empty":           {Empty{}, parse[Empty]},
	"echo request":    {EchoRequest{"a"}, parse[EchoRequest]},
	"echo answer":     {EchoAnswer{"a"}, parse[EchoAnswer]},
	"reset":           {ResetRequest{true}, parse[ResetRequest]},
	"params":          {ParamsAnswer{2048, 4}, parse[ParamsAnswer]},
	"loader request":  {LoaderRequest{"mode"}, parse[LoaderRequest]},
	"loader answer":   {LoaderAnswer{Mode: ref(0), NoDowngrade: true}, parse[LoaderAnswer]},
	"state request":   {StateRequest{Hash: bytes.Repeat([]byte{7}, 32)}, parse[StateRequest]},
	"state answer":    {StateAnswer{[]Image{{Slot: 1, Version: "1.2.3", Hash: []byte{1}, Pending: true}}, ref(0)}, parse[StateAnswer]},
	"upload, first":   {UploadRequest{Len: ref(uint32(5)), SHA: []byte{1}, Data: []byte("hello"), Upgrade: true}, parse[UploadRequest]},
	"upload, further": {UploadRequest{Off: 70000, Data: []byte("hello")}, parse[UploadRequest]},
	"upload answer":   {UploadAnswer{70000, ref(true)}, parse[UploadAnswer]},
	"erase":           {EraseRequest{ref(uint32(0))}, parse[EraseRequest]},
	"slots": {SlotsAnswer{[]SlotImage{{0, []SlotSize{{1, 393216, ref(uint32(0))}}, ref(uint32(380000))}}},
		parse[SlotsAnswer]},
}

func parse[M Message](p []byte) (Message, error) { return ParseBody[M](p) }

func TestMessagesBothWays(t *testing.T) {
	for name, tt := range trips {
		t.Run(name, func(t *testing.T) {
			body, err := AppendBody(nil, tt.message)
			check(t, err)
			if got, err := tt.parse(body); err != nil || !reflect.DeepEqual(got, tt.message) {
				t.Errorf("%x was read as %+v, %v; want %+v", body, got, err, tt.message)
			}
		})
	}
}

func TestReadsWhatZephyrWrites(t *testing.T) {
	// {_ "images": [_ {_ "slot": 0, "version": "1.0.0", "hash": h'01', "active": true, "new": 1}]}
	body := unhex(t, "bf 66696d61676573 9f bf 64736c6f74 00 6776657273696f6e 65312e302e30 6468617368 4101 66616374697665 f5 636e6577 01 ff ff ff")
	got, err := ParseBody[StateAnswer](body)
	want := StateAnswer{Images: []Image{{Version: "1.0.0", Hash: []byte{1}, Active: true}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("ParseBody = %+v, %v; want %+v", got, err, want)
	}
}

func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		want       *Error
		text       string
	}{
		{"none", "a1 63 6f6666 05", nil, ""},
		{"rc 0", "a2 62 7263 00 63 6f6666 05", nil, ""},
		{"v1", "a1 62 7263 03", &Error{SMP, RCInvalid, ""}, "SMP error 3 (invalid value)"},
		{"v1 with a reason", "a2 62 7263 08 63 72736e 62 6e6f", &Error{SMP, RCNotSupported, "no"}, `SMP error 8 (not supported): "no"`},
		{"v2", "a1 63 657272 a2 65 67726f7570 01 62 7263 09", &Error{GroupImage, ImageNoFreeSlot, ""}, "image error 9 (no free slot)"},
		{"v2, no error", "a1 63 657272 a2 65 67726f7570 01 62 7263 00", nil, ""},
		{"v2, not known", "a1 63 657272 a2 65 67726f7570 18 3f 62 7263 18 63", &Error{63, 99, ""}, "error 99 of group 63"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := ParseError(unhex(t, tt.body))
			var got *Error
			if errors.As(err, &got) != (tt.want != nil) || tt.want == nil && err != nil {
				t.Fatalf("ParseError = %v, want %v", err, tt.want)
			}
			if tt.want == nil {
				return
			}
			if *got != *tt.want || err.Error() != tt.text {
				t.Errorf("ParseError = %v, want %s", err, tt.text)
			}
			body, err := AppendError(nil, got)
			if again := ParseError(body); err != nil || !reflect.DeepEqual(again, error(got)) {
				t.Errorf("AppendError = %x, %v: read as %v", body, err, again)
			}
		})
	}
}

func TestRefuses(t *testing.T) {
	for name, body := range map[string]string{
		"nothing":        "",
		"a list":         "80",
		"a key twice":    "a2 61 72 60 61 72 60",
		"a tag":          "a1 61 72 c1 00",
		"more after it":  "a1 61 72 60 00",
		"text too long":  "a1 61 72 79 0401" + strings.Repeat("61", 1025),
		"nested deeply":  "a1 61 78 8181818181818100",
		"another type":   "a1 61 72 01",
		"cut in the map": "a1 61 72",
	} {
		t.Run(name, func(t *testing.T) {
			if m, err := ParseBody[EchoAnswer](unhex(t, body)); !errors.Is(err, ErrMessage) {
				t.Errorf("ParseBody(%.40s) = %+v, %v; want ErrMessage", body, m, err)
			}
		})
	}
	for name, packet := range map[string]string{
		"short":        "0a0000000000 2a",
		"cut":          "0a000002 00002a00 a0",
		"op 4":         "0c000001 00002a00 a0",
		"version 3":    "12000001 00002a00 a0",
		"nothing here": "",
	} {
		t.Run(name, func(t *testing.T) {
			if p, _, err := ParsePacket(unhex(t, packet)); !errors.Is(err, ErrPacket) {
				t.Errorf("ParsePacket(%s) = %+v, %v; want ErrPacket", packet, p, err)
			}
		})
	}
}
