package dfu

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"testing"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	check(t, err)
	return b
}

var functionals = []struct {
	name, hex string
	want      Functional
}{
	{"Zephyr's legacy stack", "092109e803800010" + "01", Functional{CanDownload | WillDetach, 1000, 128, Version11}},
	{"Zephyr's new stack", "09210f0000400010" + "01", Functional{CanDownload | CanUpload | ManifestationTolerant | WillDetach, 0, 64, Version11}},
	{"STM32", "09210bff0000081a" + "01", Functional{CanDownload | CanUpload | WillDetach, 255, 2048, VersionSe}},
}

func TestFunctional(t *testing.T) {
	for _, tt := range functionals {
		src := unhex(t, tt.hex)
		got, rest, err := ParseFunctional(append(src, 7))
		if err != nil || got != tt.want || len(rest) != 1 {
			t.Errorf("%s: %+v, %d left, %v; want %+v", tt.name, got, len(rest), err, tt.want)
		}
		if again := AppendFunctional(nil, got); !bytes.Equal(again, src) {
			t.Errorf("%s: written again as %x", tt.name, again)
		}
	}
	short, _, err := ParseFunctional(unhex(t, "072101e8034000"))
	if want := (Functional{CanDownload, 1000, 64, Version10}); err != nil || short != want {
		t.Errorf("DFU 1.0: %+v, %v, want %+v", short, err, want)
	}
	for _, bad := range []string{"", "0921", "0821010000400010", "09210b000040001001"[:14], "092209e80380001001", "002109e8038000"} {
		if got, _, err := ParseFunctional(unhex(t, bad)); err == nil {
			t.Errorf("%s: taken as %+v", bad, got)
		}
	}
}

func TestStatus(t *testing.T) {
	for text, want := range map[string]Status{
		"000800000200": {OK, 8, Idle, 0},
		"00b80b000400": {OK, 3000, DownloadBusy, 0},
		"030000000a05": {ErrWrite, 0, Error, 5},
		"00ffffff0700": {OK, MaxPoll, Manifest, 0},
	} {
		got, _, err := ParseStatus(unhex(t, text))
		if err != nil || got != want || !bytes.Equal(AppendStatus(nil, got), unhex(t, text)) {
			t.Errorf("%s: %+v, %v, want %+v", text, got, err, want)
		}
	}
	if _, _, err := ParseStatus(make([]byte, 5)); !errors.Is(err, ErrShort) {
		t.Errorf("5 bytes: %v", err)
	}
	for got, want := range map[string]string{
		Idle.String(): "dfuIDLE", ManifestWaitReset.String(): "dfuMANIFEST-WAIT-RESET", State(11).String(): "state 11",
		ErrWrite.String(): "errWRITE", ErrStalled.String(): "errSTALLEDPKT", Code(16).String(): "status 16",
	} {
		if got != want {
			t.Errorf("it is called %s, want %s", got, want)
		}
	}
}

// zephyr are the descriptors of Zephyr's legacy stack in DFU mode.
const zephyr = "12010002000000" + "40e32fffff0201010203" + "01" +
	"09022d00010100c032" + "0904000000fe010204" + "0904000100fe010205" + "092109e8038000" + "1001"

func TestParseDevice(t *testing.T) {
	got, err := ParseDevice(unhex(t, zephyr))
	f := &functionals[0].want
	want := Device{
		Vendor: 0x2fe3, Product: 0xffff, Release: 0x0102, VendorString: 1, ProductString: 2, SerialString: 3,
		Interfaces: []Interface{
			{0, 0, Class, Subclass, ProtocolDFU, 4, f}, {0, 1, Class, Subclass, ProtocolDFU, 5, f},
		},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("ParseDevice = %+v, %v, want %+v", got, err, want)
	}
	if !got.Interfaces[1].IsDFU(ProtocolDFU) || got.Interfaces[1].IsDFU(ProtocolRuntime) {
		t.Error("an interface in DFU mode is not seen as one")
	}
	src := unhex(t, zephyr)
	for n := range src {
		if n != 18 && n != 18+9 && n != 18+18 && n != 18+27 { // where one ends
			if got, err := ParseDevice(src[:n]); err == nil {
				t.Errorf("%d bytes: %+v", n, got)
			}
		}
	}
	hid := unhex(t, zephyr)
	hid[18+9+5], hid[18+18+5] = 3, 3 // there 0x21 is another descriptor
	if got, err := ParseDevice(hid); err != nil || got.Interfaces[1].Functional != nil {
		t.Errorf("HID: %+v, %v", got, err)
	}
	if _, err := ParseDevice(append(src, make([]byte, MaxDescriptors)...)); err == nil {
		t.Error("descriptors without end were taken")
	}
}

// moult is the file "moult" with the suffix that dfu-suffix gives it.
const moult = "6d6f756c74" + "0002ffffe32f000155464410" + "8cc896f1"

func TestSuffix(t *testing.T) {
	want := Suffix{0x0200, Any, 0x2fe3, Version10}
	if got := AppendSuffix([]byte("moult"), want); hex.EncodeToString(got) != moult {
		t.Errorf("AppendSuffix = %x, want %s", got, moult)
	}
	got, body, found, err := ParseSuffix(unhex(t, moult))
	if err != nil || !found || got != want || string(body) != "moult" {
		t.Errorf("ParseSuffix = %+v, %q, %v, %v", got, body, found, err)
	}
	for at := range len(moult) / 2 {
		bad := unhex(t, moult)
		bad[at] ^= 0x40
		if _, body, found, err := ParseSuffix(bad); found && err == nil || !found && len(body) != len(bad) || found && !errors.Is(err, ErrSuffix) {
			t.Errorf("byte %d changed: found %v, %v", at, found, err)
		}
	}
	if _, body, found, err := ParseSuffix([]byte("plain")); found || err != nil || string(body) != "plain" {
		t.Errorf("a file without: %q, %v, %v", body, found, err)
	}
}

func TestFits(t *testing.T) {
	for _, tt := range []struct {
		name string
		s    Suffix
		fits bool
	}{
		{"any", Suffix{Any, Any, Any, Version10}, true},
		{"application", Suffix{Any, 0x0100, 0x2fe3, Version10}, true},
		{"DFU mode", Suffix{Any, 0x0101, 0x2fe3, Version10}, true},
		{"vendor alone", Suffix{Any, Any, 0x2fe3, Version10}, true},
		{"another product", Suffix{Any, 0x0102, 0x2fe3, Version10}, false},
		{"another vendor", Suffix{Any, 0x0100, 0x0483, Version10}, false},
		{"another vendor, any product", Suffix{Any, Any, 0x0483, Version10}, false},
	} {
		if err := tt.s.Fits(0x2fe3, 0x0100, 0x0101); (err == nil) != tt.fits || err != nil && !errors.Is(err, ErrOther) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
