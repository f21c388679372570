package dfu

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestCommand(t *testing.T) {
	for text, want := range map[string]Command{
		"2100000108": {Order: SetAddress, Address: 0x08010000},
		"4100c00308": {Order: Erase, Address: 0x0803c000},
		"41":         {Order: Erase, All: true},
		"92":         {Order: ReadUnprotect},
	} {
		got, err := ParseCommand(unhex(t, text))
		if err != nil || got != want || !bytes.Equal(AppendCommand(nil, got), unhex(t, text)) {
			t.Errorf("%s: %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, bad := range []string{"", "21", "2100", "9200000108", "4100000108ff", "00", "5500000000"} {
		if got, err := ParseCommand(unhex(t, bad)); err == nil {
			t.Errorf("%q: taken as %+v", bad, got)
		}
	}
}

// The maps of an STM32F4 and of a board with a NOR flash beside it.
const (
	stm32 = "@Internal Flash  /0x08000000/04*016Kg,01*064Kg,07*128Kg"
	two   = "@Flash/0x08000000/02*016Kg,1*8 e/0x90000000/16*001Mg"
)

func TestParseLayout(t *testing.T) {
	l, err := ParseLayout(stm32)
	want := Layout{"Internal Flash", []Segment{{0x08000000, 4, 16 << 10, 'g'}, {0x08010000, 1, 64 << 10, 'g'}, {0x08020000, 7, 128 << 10, 'g'}}}
	if err != nil || !reflect.DeepEqual(l, want) {
		t.Errorf("ParseLayout = %+v, %v, want %+v", l, err, want)
	}
	l, err = ParseLayout(two)
	want = Layout{"Flash", []Segment{{0x08000000, 2, 16 << 10, 'g'}, {0x08008000, 1, 8, 'e'}, {0x90000000, 16, 1 << 20, 'g'}}}
	if err != nil || !reflect.DeepEqual(l, want) {
		t.Errorf("ParseLayout = %+v, %v, want %+v", l, err, want)
	}
	for _, bad := range []string{
		"", "image_1", "@", "@a/0x0", "@a/8000/1*1Kg", "@a/0x0/1*1Kh", "@a/0x0/0*1Kg", "@a/0x0/1*0Kg", "@a/0xffffffff/1*1Kg",
		"@a/0x0/1*1Gg", "@a/0x0/1*1Kg/0x9", "@a/0x0/", "@a/0x0/1*1Kg" + strings.Repeat(",1*1Kg", 100),
	} {
		if l, err := ParseLayout(bad); err == nil {
			t.Errorf("%.40q: taken as %+v", bad, l)
		}
	}
}

func TestPages(t *testing.T) {
	internal, err := ParseLayout(stm32)
	check(t, err)
	flash, err := ParseLayout(two)
	check(t, err)
	for _, tt := range []struct {
		name          string
		l             Layout
		address, size uint32
		want          []uint32
	}{
		{"one", internal, 0x08004000, 1, []uint32{0x08004000}},
		{"over two sizes", internal, 0x0800c000, 16<<10 + 64<<10 + 1, []uint32{0x0800c000, 0x08010000, 0x08020000}},
		{"to the end", internal, 0x080e0000, 128 << 10, []uint32{0x080e0000}},
		{"nothing", internal, 0x08000000, 0, nil},
		{"beyond the end", internal, 0x080e0000, 128<<10 + 1, nil},
		{"inside a sector", internal, 0x08004010, 1, nil},
		{"elsewhere", internal, 0x20000000, 1, nil},
		{"cannot be erased", flash, 0x08008000, 1, nil},
		{"another region", flash, 0x90100000, 1, []uint32{0x90100000}},
	} {
		got, err := tt.l.Pages(tt.address, tt.size)
		if !slices.Equal(got, tt.want) || (err == nil) != (tt.want != nil || tt.size == 0) || err != nil && !errors.Is(err, ErrMap) {
			t.Errorf("%s: Pages(%#x, %d) = %#x, %v, want %#x", tt.name, tt.address, tt.size, got, err, tt.want)
		}
	}
}

var targets = []Target{
	{0, "ST...", []Element{{0x08000000, []byte("boot")}, {0x08020000, []byte("app")}}},
	{1, "", []Element{{0x90000000, []byte{}}}},
}

func TestContainer(t *testing.T) {
	src, err := AppendContainer(nil, targets)
	check(t, err)
	if head := unhex(t, "4466755365"+"01"+"4e020000"+"02"+"546172676574"+"00"+"01000000"); !bytes.HasPrefix(src, head) || len(src) != 0x24e {
		t.Errorf("%d bytes: %x, want %x", len(src), src[:len(head)], head)
	}
	got, err := ParseContainer(src)
	if err != nil || !reflect.DeepEqual(got, targets) {
		t.Errorf("ParseContainer = %+v, %v", got, err)
	}
	for n := range src {
		if _, err := ParseContainer(src[:n]); !errors.Is(err, ErrContainer) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	for _, at := range []int{6, 10, 11 + 266, 11 + 270, 11 + 274 + 4} { // sizes and counts
		bad := bytes.Clone(src)
		bad[at]++
		if _, err := ParseContainer(bad); !errors.Is(err, ErrContainer) {
			t.Errorf("byte %d raised: %v", at, err)
		}
	}
	if _, err := AppendContainer(nil, []Target{{Name: strings.Repeat("n", 255)}}); err == nil {
		t.Error("a name without an end was written")
	}
}
