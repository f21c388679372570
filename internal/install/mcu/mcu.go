// Package mcu installs MCUboot images on a child: a microcontroller behind
// this gateway. It knows no bus; that is package child's part.
//
// Write brings the image into the slot that does not run; Activate tries it
// by a reset of the child, not of the gateway; Confirm keeps it, and sees that
// it stays. The power of either may be cut anywhere between.
package mcu

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/moult-ota/moult/internal/child"
	"github.com/moult-ota/moult/internal/install"
	"github.com/moult-ota/moult/internal/link"
	"github.com/moult-ota/moult/internal/mcupayload"
	"github.com/moult-ota/moult/mcuboot"
)

// PayloadType is what artifacts for it carry.
const PayloadType = mcupayload.Type

// An Installer brings images onto one child. Child and Shelf are needed.
type Installer struct {
	Child child.Child
	Shelf Shelf

	// Keys may sign images. None: what images are signed with is left to the
	// child's boot loader; the artifact around it was verified in any case.
	Keys    []mcuboot.PublicKey
	Room    int64  // of a slot, in bytes; 0 means mcuboot.MaxImage
	ClassID []byte // that images must carry, 16 bytes; nil: any
	Newer   bool   // the boot loader refuses images that are older than what runs

	Away   time.Duration // that the child may be away; 0 means 2 minutes
	Settle time.Duration // for an image that confirms itself to do so; 0 means 30 seconds

	Now   func() time.Time                           // nil means time.Now
	Sleep func(context.Context, time.Duration) error // nil means by the clock
	Note  func(level, message string)                // hears what is done; nil means nobody
}

var _ install.Installer = (*Installer)(nil)

// Limits of patience.
const (
	look   = 500 * time.Millisecond // between looks at a child that is away
	sends  = 5                      // that end without a byte more than before
	tries  = 3                      // of an image, with an error
	resets = 3                      // that lead nowhere
)

// Verify looks whether the new image runs.
func (i *Installer) Verify(ctx context.Context, w install.Written) error {
	want, err := parseName(w.Image)
	if err != nil {
		return err
	}
	_, err = i.running(ctx, want)
	return err
}

// running wants an image to run.
func (i *Installer) running(ctx context.Context, want name) (child.State, error) {
	s, err := i.state(ctx)
	if err == nil && !want.is(s.Running) {
		err = fmt.Errorf("child runs %v, not %v: the new image did not start, or was given up", s.Running.Version, want.version)
	}
	return s, err
}

// state asks the child, and waits for one that is away, or that does not make
// sense: a boot loader may talk on the same bus.
func (i *Installer) state(ctx context.Context) (child.State, error) {
	deadline := i.now().Add(or(i.Away, 2*time.Minute))
	for {
		s, err := i.Child.State(ctx)
		switch {
		case err == nil || ctx.Err() != nil:
			return s, err
		case !i.now().Before(deadline) && errors.Is(err, child.ErrAway):
			return s, fmt.Errorf("after %v: %w; is it powered and connected?", or(i.Away, 2*time.Minute), err)
		case !i.now().Before(deadline):
			return s, fmt.Errorf("after %v: %w", or(i.Away, 2*time.Minute), err)
		}
		if err := i.sleep(ctx, look); err != nil {
			return s, err
		}
	}
}

func (i *Installer) now() time.Time {
	if i.Now == nil {
		return time.Now()
	}
	return i.Now()
}

func (i *Installer) sleep(ctx context.Context, d time.Duration) error {
	if i.Sleep == nil {
		return link.Sleep(ctx, d)
	}
	return i.Sleep(ctx, d)
}

func (i *Installer) note(format string, args ...any) {
	if i.Note != nil {
		i.Note("info", fmt.Sprintf(format, args...))
	}
}

func or[T comparable](v, zeroMeans T) T {
	var zero T
	if v == zero {
		return zeroMeans
	}
	return v
}

// A name is what the update remembers of an image: its hash, and its version.
type name struct {
	hash    [32]byte
	version mcuboot.Version
}

func nameOf(image child.Image) name { return name{image.Hash, image.Version} }

func (n name) String() string { return hex.EncodeToString(n.hash[:]) + " " + n.version.String() }

func parseName(text string) (n name, err error) {
	var hash, version string
	if _, err = fmt.Sscanf(text, "%64s %s", &hash, &version); err == nil {
		var sum []byte
		if sum, err = hex.DecodeString(hash); err == nil && copy(n.hash[:], sum) == len(n.hash) {
			n.version, err = mcuboot.ParseVersion(version)
			return n, err
		}
	}
	return n, fmt.Errorf("the update record names no image of a child: %.100q", text)
}

// is reports whether a child speaks of this image; of one that tells no hash,
// as far as its version goes.
func (n name) is(s child.Slot) bool {
	if s.Hash != nil {
		return string(s.Hash) == string(n.hash[:])
	}
	return s.Version.Compare(n.version) == 0 && (s.Version.Build == 0 || s.Version.Build == n.version.Build)
}
