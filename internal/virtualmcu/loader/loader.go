// Package loader does MCUboot's work on a virtual flash: it swaps two slots by
// scratch, back again when an image was not confirmed, and lets only signed
// images start. Wherever the power is cut, the next boot goes on.
//
// It decides as MCUboot does, by package mcuboot. It differs in one thing:
// MCUboot loses a revert when its last write, copy done, is torn; this loader
// does, too, only when it is told to.
package loader

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/moult-ota/moult/internal/virtualmcu/flash"
	"github.com/moult-ota/moult/mcuboot"
)

// A Loader is a boot loader as it was configured when it was built.
type Loader struct {
	Slots
	Keys  []mcuboot.PublicKey // that may sign images
	Guard mcuboot.Guard       // which older images are refused; none by default
	// ClassID is the board's, of 16 bytes; images with another or none do not
	// start. nil: it is not looked at.
	ClassID []byte
	// Trust starts the primary slot's image without a look at its signature,
	// as MCUboot without MCUBOOT_VALIDATE_PRIMARY_SLOT. Its header is looked at.
	Trust bool
	// Loses loses a revert where MCUboot does: when copy done, its last write,
	// is torn. The image on trial stays, and counts as confirmed.
	Loses bool
}

// ErrNothing is a device with no image to start: it waits for a programmer.
var ErrNothing = errors.New("no image that may start in slot 0")

// New returns the loader of a flash.
func New(f *flash.Flash, keys ...mcuboot.PublicKey) (*Loader, error) {
	l, err := Split(f.Geometry)
	if err != nil {
		return nil, err
	}
	return &Loader{Slots: Slots{l, f}, Keys: keys}, nil
}

// Boot does what a reset does, and returns the image that starts.
func (l *Loader) Boot() (*mcuboot.Image, error) {
	t, err := l.latest()
	if err != nil {
		return nil, fmt.Errorf("boot: %w", err)
	}
	switch {
	case !t.ended():
		err = l.exchange(t)
	case l.Loses:
		err = each(l.late, func() error { return l.swap(t) })
	default:
		err = l.swap(t)
	}
	if err != nil {
		return nil, fmt.Errorf("boot: %w", err)
	}
	im, err := l.Image(0)
	if err == nil && !l.Trust {
		err = l.verify(im)
	}
	if err != nil {
		return nil, fmt.Errorf("boot: %w: %w", ErrNothing, err)
	}
	return im, nil
}

// swap begins the swap that the trailers ask for, if any, and carries it out.
func (l *Loader) swap(last status) error {
	next, err := l.Next()
	if err != nil || next == mcuboot.SwapNone {
		return err
	}
	if err := l.admit(next); errors.Is(err, flash.ErrPower) {
		return err
	} else if err != nil {
		return l.refuse()
	}
	t, err := l.begin(last, next, l.used())
	if err != nil {
		return fmt.Errorf("begin swap: %w", err)
	}
	return l.exchange(t)
}

// admit returns nil when the secondary slot's image may start.
func (l *Loader) admit(next mcuboot.Swap) error {
	im, err := l.Image(1)
	if err != nil {
		return err
	}
	if err := l.verify(im); err != nil || next == mcuboot.SwapRevert {
		return err
	}
	running, err := l.Image(0)
	if errors.Is(err, flash.ErrPower) {
		return err
	}
	return l.Guard.Check(im, running) // nil when there is none
}

// refuse erases the secondary slot. Where that was to be reverted to, the
// running image stays.
func (l *Loader) refuse() error {
	if err := l.Erase(1); err != nil {
		return err
	}
	t, err := l.Trailer(0)
	if err == nil && t.Magic == mcuboot.Set && t.ImageOK == mcuboot.Unset {
		err = l.put(0, l.imageOK(), 1)
	}
	return err
}

func (l *Loader) verify(im *mcuboot.Image) error {
	if im.Header.Flags&mcuboot.FlagNonBootable != 0 {
		return errors.New("image is marked as not bootable")
	}
	if l.ClassID != nil && !slices.ContainsFunc(im.Protected, func(t mcuboot.TLV) bool {
		return t.Type == mcuboot.TypeClassID && bytes.Equal(t.Value, l.ClassID)
	}) {
		return errors.New("image is for another class of boards")
	}
	return im.Verify(l.Keys...)
}

// used is how many sectors the larger image has.
func (l *Loader) used() int {
	n := 0
	for slot := range 2 {
		im, err := l.Image(slot)
		if err != nil {
			return l.perSlot - 1 // whatever it is, it is kept
		}
		n = max(n, (im.Size()+l.Sector-1)/l.Sector)
	}
	return n
}
