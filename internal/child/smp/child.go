package smp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/moult-ota/moult/internal/child"
	wire "github.com/moult-ota/moult/internal/wire/smp"
	"github.com/moult-ota/moult/mcuboot"
)

// A Child is a child.Child over SMP.
type Child struct {
	c *Client
}

var _ child.Child = (*Child)(nil)

// New returns a child behind a Serial or a UDP. Nothing is opened yet.
func New(open func() (Transport, error), o Options) *Child {
	return &Child{NewClient(open, o)}
}

// Client is what it talks by.
func (k *Child) Client() *Client { return k.c }

// Close lets go of the bus.
func (k *Child) Close() error { return k.c.Close() }

// State reads the image list.
func (k *Child) State(ctx context.Context) (s child.State, err error) {
	images, err := k.c.Images(ctx)
	if err != nil {
		return s, fmt.Errorf("list images: %w", err)
	}
	images = slices.DeleteFunc(images, func(i wire.Image) bool { return i.Image != k.c.opts.Image })
	running := slices.IndexFunc(images, func(i wire.Image) bool { return i.Active })
	if running < 0 { // MCUboot's serial recovery has no flags
		running = slices.IndexFunc(images, func(i wire.Image) bool { return i.Slot%2 == 0 })
	}
	if running < 0 {
		return s, errors.New("list images: the child says of none that it runs")
	}
	for n, i := range images {
		slot := child.Slot{Hash: i.Hash, Confirmed: i.Confirmed, Pending: i.Pending}
		if slot.Version, err = mcuboot.ParseVersion(i.Version); err != nil {
			// Zephyr writes 1.2.3.4 for 1.2.3+4
			slot.Version, err = mcuboot.ParseVersion(fourth(i.Version))
		}
		switch {
		case err != nil:
			return s, fmt.Errorf("list images: %w", err)
		case n == running:
			s.Running = slot
		default:
			s.Other = slot
		}
	}
	return s, nil
}

// fourth turns the third dot of a version into a plus.
func fourth(text string) string {
	parts := bytes.SplitN([]byte(text), []byte("."), 4)
	if len(parts) != 4 {
		return text
	}
	return string(bytes.Join(parts[:3], []byte("."))) + "+" + string(parts[3])
}

// Send uploads what the other slot does not hold, and wants to see it there.
func (k *Child) Send(ctx context.Context, image child.Image, told func(int64)) error {
	there, err := k.holds(ctx, image)
	if err != nil {
		return err
	}
	if !there {
		if err := k.upload(ctx, image, told); err != nil {
			return err
		}
		if there, err = k.holds(ctx, image); err != nil {
			return err
		}
	}
	if !there {
		return fmt.Errorf("send image: it was sent whole, and the child does not list its hash %x", image.Hash)
	}
	if told != nil {
		told(int64(len(image.Bytes)))
	}
	return nil
}

func (k *Child) holds(ctx context.Context, image child.Image) (bool, error) {
	s, err := k.State(ctx)
	return bytes.Equal(s.Other.Hash, image.Hash[:]), err
}

// upload erases the other slot when the child says that it is not free, or
// when something else arrived there, and tries once more.
func (k *Child) upload(ctx context.Context, image child.Image, told func(int64)) error {
	var reached int64
	rising := func(n int64) {
		if n > reached && told != nil {
			reached = n
			told(n)
		}
	}
	err := k.c.Upload(ctx, image.Bytes, rising)
	if notFree(err) || errors.Is(err, ErrMatch) {
		if wrong := k.c.Erase(ctx); wrong != nil {
			return fmt.Errorf("%w; erase the slot: %w", err, wrong)
		}
		err = k.c.Upload(ctx, image.Bytes, rising)
	}
	if final(err) {
		return fmt.Errorf("%w: %w", child.ErrRefused, err)
	}
	return err
}

func notFree(err error) bool {
	var e *wire.Error
	return errors.As(err, &e) && (e.Has(wire.GroupImage, wire.ImageNoFreeSlot) || e.Has(wire.GroupImage, wire.ImageAlreadyPending) ||
		e.Has(wire.SMP, wire.RCBadState))
}

// final reports whether the same image will be refused again.
func final(err error) bool {
	var e *wire.Error
	if !errors.As(err, &e) {
		return false
	}
	codes := []int{wire.RCInvalid, wire.RCTooLarge, wire.RCNotSupported, wire.RCDenied}
	switch e.Group {
	case wire.SMP:
	case wire.GroupImage:
		codes = []int{
			wire.ImageNoTLVs, wire.ImageBadTLV, wire.ImageManyHashes, wire.ImageBadTLVSize, wire.ImageBadSlot, wire.ImageBadLength,
			wire.ImageBadHeader, wire.ImageBadMagic, wire.ImageNewerRuns, wire.ImageBadVectors, wire.ImageTooLarge,
		}
	default:
		return false
	}
	return slices.Contains(codes, e.Code)
}

// Try asks for a test, unless that is so already.
func (k *Child) Try(ctx context.Context, image child.Image) error {
	s, err := k.State(ctx)
	if err != nil {
		return err
	}
	if s.Other.Pending && bytes.Equal(s.Other.Hash, image.Hash[:]) {
		return nil
	}
	if err := k.c.Test(ctx, image.Hash[:]); err != nil {
		return fmt.Errorf("test image: %w", err)
	}
	return nil
}

// Reset restarts the child and waits until it is down. When the answer got
// lost, the image list tells whether there was a reset; where it does not, a
// second one changes nothing either.
func (k *Child) Reset(ctx context.Context) error {
	before, err := k.State(ctx)
	if err != nil {
		return fmt.Errorf("reset child: %w", err)
	}
	for range k.c.opts.Tries {
		if err = k.c.Reset(ctx); !errors.Is(err, child.ErrAway) {
			break
		}
		now, away := k.State(ctx)
		if ctx.Err() == nil && (errors.Is(away, child.ErrAway) || away == nil && !same(before, now)) {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("reset child: %w", err)
	}
	return nil
}

func same(a, b child.State) bool {
	slot := func(a, b child.Slot) bool {
		return bytes.Equal(a.Hash, b.Hash) && a.Confirmed == b.Confirmed && a.Pending == b.Pending
	}
	return slot(a.Running, b.Running) && slot(a.Other, b.Other)
}

// Confirm confirms what runs. A child that has no such command does it by
// itself.
func (k *Child) Confirm(ctx context.Context) error {
	err := k.c.Confirm(ctx)
	var e *wire.Error
	switch {
	case errors.As(err, &e) && e.Has(wire.SMP, wire.RCNotSupported):
		return child.ErrSelf
	case err != nil:
		return fmt.Errorf("confirm image: %w", err)
	}
	return nil
}
