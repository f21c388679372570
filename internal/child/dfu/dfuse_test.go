package dfu_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/moult-ota/moult/internal/child"
	"github.com/moult-ota/moult/internal/child/dfu"
	"github.com/moult-ota/moult/internal/child/dfu/dfutest"
	wire "github.com/moult-ota/moult/internal/wire/dfu"
)

// stm32 is a chip whose slot 1 is at 0x08020000.
func stm32(d *dfutest.Device) {
	d.Alts = []string{"@Internal Flash  /0x08000000/04*016Kg,01*064Kg,02*004Kg", "@Option Bytes /0x1FFFC000/01*016 e"}
	d.Functional.Version, d.Functional.TransferSize = wire.VersionSe, 2048
}

const slot1 = 0x08020000

func TestDfuSe(t *testing.T) {
	container, err := wire.AppendContainer(nil, []wire.Target{
		{Alternate: 1, Elements: []wire.Element{{Address: 0x1fffc000, Bytes: []byte("no")}}},
		{Alternate: 0, Elements: []wire.Element{{Address: slot1, Bytes: image.Bytes[:3000]}, {Address: slot1 + 4096, Bytes: image.Bytes[3000:]}}},
	})
	check(t, err)
	container = wire.AppendSuffix(container, wire.Suffix{Release: wire.Any, Product: 0x0100, Vendor: 0x2fe3, Version: wire.VersionSe})
	gap := append(append(bytes.Clone(image.Bytes[:3000]), bytes.Repeat([]byte{0xff}, 4096-3000)...), image.Bytes[3000:]...)
	for _, tt := range []struct {
		name    string
		file    []byte
		address uint32
		want    []byte // at slot1
		fails   string
	}{
		{"an image at an address", image.Bytes, slot1, image.Bytes, ""},
		{"a container", container, 0, gap, ""},
		{"no address", image.Bytes, 0, nil, "set the address"},
		{"inside a sector", image.Bytes, slot1 + 8, nil, "not where a sector"},
		{"beyond its memory", append(bytes.Clone(image.Bytes), make([]byte, 8192)...), slot1, nil, "no such memory"},
	} {
		d := gadget(stm32)
		d.Fill(slot1, bytes.Repeat([]byte{0x55}, 8192))
		d.Fill(0x08000000, []byte("boot loader"))
		file := image
		file.Bytes = tt.file
		err := on(t, d, func(o *dfu.Options) { o.Alts, o.Address = []string{"Internal Flash"}, tt.address }).Send(t.Context(), file, nil)
		if tt.fails != "" {
			if got, _ := d.Memory(slot1, 1); err == nil || !strings.Contains(err.Error(), tt.fails) || got[0] != 0x55 {
				t.Errorf("%s: %v, want %q; memory begins %x", tt.name, err, tt.fails, got)
			}
			if refused := errors.Is(err, child.ErrRefused); refused != (tt.address != 0) {
				t.Errorf("%s: %v, refused: %v", tt.name, err, refused)
			}
			continue
		}
		got, dirty := d.Memory(slot1, len(tt.want))
		boot, _ := d.Memory(0x08000000, 11)
		if err != nil || !bytes.Equal(got, tt.want) || dirty != 0 || string(boot) != "boot loader" {
			t.Errorf("%s: %v; as it should be: %v; %d bytes not erased before, boot loader %q", tt.name, err, bytes.Equal(got, tt.want), dirty, boot)
		}
	}
}
