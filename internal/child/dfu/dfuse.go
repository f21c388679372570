package dfu

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/moult-ota/moult/internal/child"
	wire "github.com/moult-ota/moult/internal/wire/dfu"
)

// se downloads as DfuSe has it: sectors are erased and addresses set by
// commands. In the end the device starts at the beginning of its memory.
func (j *job) se(ctx context.Context, name string, alternate uint8, address uint32) error {
	l, err := wire.ParseLayout(name)
	if err != nil {
		return err
	}
	elements, err := j.elements(alternate, address)
	if err != nil {
		return err
	}
	var pages []uint32
	for _, e := range elements {
		more, err := l.Pages(e.Address, uint32(len(e.Bytes)))
		if err != nil {
			return fmt.Errorf("%w: %w", child.ErrRefused, err)
		}
		pages = append(pages, more...)
	}
	for _, p := range pages {
		if err := j.command(ctx, wire.Command{Order: wire.Erase, Address: p}); err != nil {
			return err
		}
	}
	sent := 0
	for _, e := range elements {
		if err := j.element(ctx, e, &sent); err != nil {
			return err
		}
	}
	if err := j.command(ctx, wire.Command{Order: wire.SetAddress, Address: l.Segments[0].Address}); err != nil {
		return err
	}
	return j.manifest(ctx, 0, j.left)
}

// elements are what a container has for a setting, or the file at an address.
func (j *job) elements(alternate uint8, address uint32) ([]wire.Element, error) {
	targets, err := wire.ParseContainer(j.file)
	if errors.Is(err, wire.ErrContainer) {
		if address == 0 || uint64(address)+uint64(len(j.file)) > math.MaxUint32 {
			return nil, fmt.Errorf("%d bytes at address %#x: set the address of the slot that does not run", len(j.file), address)
		}
		return []wire.Element{{Address: address, Bytes: j.file}}, nil
	}
	for _, t := range targets {
		if t.Alternate == alternate {
			return t.Elements, nil
		}
	}
	return nil, fmt.Errorf("%w: container has nothing for setting %d", child.ErrRefused, alternate)
}

// element sets the address before each block: then the block's number does not
// depend on the size of blocks.
func (j *job) element(ctx context.Context, e wire.Element, sent *int) error {
	for at := 0; at < len(e.Bytes); {
		p := e.Bytes[at:min(at+j.size(), len(e.Bytes))]
		address := e.Address + uint32(at)
		if err := j.command(ctx, wire.Command{Order: wire.SetAddress, Address: address}); err != nil {
			return err
		}
		if err := j.block(ctx, fmt.Sprintf("write at %#x", address), wire.FirstBlock, p); err != nil {
			return err
		}
		at += len(p)
		*sent += len(p)
		j.told(int64(*sent))
	}
	return nil
}

func (j *job) command(ctx context.Context, c wire.Command) error {
	act := fmt.Sprintf("set address %#x", c.Address)
	if c.Order == wire.Erase {
		act = fmt.Sprintf("erase sector at %#x", c.Address)
	}
	return j.block(ctx, act, 0, wire.AppendCommand(nil, c))
}
