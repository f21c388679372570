// Package child is the contract between a gateway and one microcontroller
// behind it: MCUboot's two slots, seen over a bus. Each bus is a package below
// this one; what a gateway does with a child is package install/mcu's.
package child

import (
	"context"
	"errors"

	"github.com/moult-ota/moult/mcuboot"
)

// A Child is one microcontroller. It keeps no state that a restart of the
// gateway would miss, and every method may be called again after a lost
// answer, a power cut of the gateway or one of the child. It is used by one
// goroutine at a time. A child that does not answer is ErrAway.
type Child interface {
	// State says what the child runs and what lies beside it.
	State(ctx context.Context) (State, error)

	// Send stores an image in the slot that does not run, and goes on where
	// an earlier Send of the same image ended when the child remembers that.
	// told, which may be nil, hears the bytes that the child has so far.
	// When it returned nil, the child has all of it.
	Send(ctx context.Context, image Image, told func(bytes int64)) error

	// Try makes the sent image boot at the next reset, once: at the reset
	// after that the old one comes back, unless the new one was confirmed.
	Try(ctx context.Context, image Image) error

	// Reset restarts the child. It returns when the child goes down; until it
	// is back, State answers ErrAway.
	Reset(ctx context.Context) error

	// Confirm makes the running image permanent. ErrSelf: this bus cannot;
	// the image does it by itself, and that it did shows at the next reset.
	Confirm(ctx context.Context) error

	// Close lets go of the bus. It may be called again.
	Close() error
}

// An Image is an MCUboot image, header and TLVs included.
type Image struct {
	Bytes   []byte
	Version mcuboot.Version
	Hash    [32]byte // its hash TLV: what a child calls the image by
}

// A State is what a child says of its slots.
type State struct {
	Running Slot
	Other   Slot // the zero Slot when it is empty, or not told
}

// A Slot is what a child says of one image.
type Slot struct {
	Version   mcuboot.Version
	Hash      []byte // nil when the bus does not tell
	Confirmed bool   // it stays after a reset
	Pending   bool   // it boots at the next reset
}

// Errors for callers that branch.
var (
	ErrAway    = errors.New("child does not answer")
	ErrSelf    = errors.New("this child confirms by itself")
	ErrRefused = errors.New("child refused the image") // and will refuse it again
)
