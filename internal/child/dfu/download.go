package dfu

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/moult-ota/moult/internal/child"
	wire "github.com/moult-ota/moult/internal/wire/dfu"
)

// admit takes the suffix off a file. One for another device is refused.
func (c *Child) admit(d Device, file []byte) ([]byte, error) {
	s, body, found, err := wire.ParseSuffix(file)
	if err == nil && found {
		err = s.Fits(d.USB.Vendor, d.USB.Product, c.o.Match.Product)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", child.ErrRefused, err)
	}
	if len(body) == 0 {
		return nil, fmt.Errorf("%w: the image is empty", child.ErrRefused)
	}
	return body, nil
}

// download sends a file to a device in DFU mode.
func (c *Child) download(ctx context.Context, d Device, file []byte, told func(int64)) error {
	t, err := c.open(ctx, d)
	if err != nil {
		return err
	}
	defer t.Close()
	h := &host{t, d.dfuInterface().Number, c.o.Busy}
	if err := t.Claim(h.number); err != nil {
		return away("claim "+d.String(), err)
	}
	i, name, err := c.choose(t, d)
	if err != nil {
		return err
	}
	if err := t.SetAlt(i.Number, i.Alternate); err != nil {
		return away("choose setting "+name, err)
	}
	if err := h.idle(ctx); err != nil {
		return err
	}
	j := job{h, *i.Functional, file, told, func() bool { return c.leaves(ctx, d) }}
	if i.Functional.Version == wire.VersionSe {
		err = j.se(ctx, name, i.Alternate, c.o.Address)
	} else {
		err = j.plain(ctx)
	}
	if err != nil && !errors.Is(err, child.ErrAway) {
		_ = h.out(wire.Abort, 0, nil) // so that the next one finds it idle
	}
	return err
}

// leaves waits a while for a device to leave the bus, or DFU mode.
func (c *Child) leaves(ctx context.Context, d Device) bool {
	for end := time.Now().Add(c.o.Down); time.Now().Before(end); {
		if c.left(d) {
			return true
		}
		if wait(ctx, scan) != nil {
			return false
		}
	}
	return false
}

// choose finds the alternate setting by its name, never by its number.
func (c *Child) choose(t Transport, d Device) (wire.Interface, string, error) {
	var there []string
	all := d.interfaces(wire.ProtocolDFU)
	for _, i := range all {
		name, err := text(t, i.String)
		if err != nil {
			return i, "", away(fmt.Sprintf("read name of setting %d", i.Alternate), err)
		}
		there = append(there, name)
	}
	for _, want := range c.o.Alts {
		n := slices.IndexFunc(there, func(name string) bool { return calls(name, want) })
		if n < 0 {
			continue
		}
		if f := all[n].Functional; f == nil || f.TransferSize == 0 || !f.Has(wire.CanDownload) {
			return all[n], "", fmt.Errorf("%s says that it takes no download", d)
		}
		return all[n], there[n], nil
	}
	return wire.Interface{}, "", fmt.Errorf("%s has no setting called %s, but %q; set the name of the slot that does not run", d, strings.Join(c.o.Alts, " or "), there)
}

// calls reports whether a setting is called so. DfuSe's have their memory map
// behind the name.
func calls(name, want string) bool {
	l, err := wire.ParseLayout(name)
	return name == want || err == nil && l.Name == want
}

// Standard requests for strings, USB 2.0 §9.4.3.
const (
	typeIn        = 0x80
	getDescriptor = 6
	stringType    = 3
	maxString     = 255 // bytes
)

// text reads a string in the device's first language.
func text(t Transport, number uint8) (string, error) {
	if number == 0 {
		return "", nil
	}
	p := make([]byte, maxString)
	n, err := t.Control(typeIn, getDescriptor, stringType<<8, 0, p)
	if err != nil || n < 4 {
		return "", err
	}
	n, err = t.Control(typeIn, getDescriptor, stringType<<8|uint16(number), binary.LittleEndian.Uint16(p[2:]), p)
	end := min(n, int(p[0]))
	if err != nil || end < 2 {
		return "", err
	}
	var units []uint16
	for p = p[2:end]; len(p) > 1; p = p[2:] {
		units = append(units, binary.LittleEndian.Uint16(p))
	}
	return string(utf16.Decode(units)), nil
}

// A job is one download.
type job struct {
	*host
	f    wire.Functional
	file []byte
	told func(int64)
	left func() bool
}

func (j *job) size() int { return min(int(j.f.TransferSize), maxControl) }

// plain downloads as DFU 1.1 has it: blocks from 0, and an empty one.
func (j *job) plain(ctx context.Context) error {
	blocks := (len(j.file) + j.size() - 1) / j.size()
	if blocks > 0xffff { // the number would begin anew, and with it some devices
		return fmt.Errorf("%w: image of %d bytes in blocks of %d: too many", child.ErrRefused, len(j.file), j.size())
	}
	sent := 0
	for block := range blocks {
		p := j.file[sent:min(sent+j.size(), len(j.file))]
		if err := j.block(ctx, fmt.Sprintf("block %d", block), uint16(block), p); err != nil {
			return err
		}
		sent += len(p)
		j.told(int64(sent))
	}
	return j.manifest(ctx, uint16(blocks), j.left)
}
