// Package install is the contract for payload kinds: how what an artifact
// carries gets onto the device, takes effect, and goes away again. Each kind
// is a package below this one.
package install

import (
	"context"
	"errors"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/slot"
)

// An Installer brings payloads of one kind onto a device. It keeps no state
// of its own beside what it installs: after a power cut any method may be
// called again, on a new Installer, and then does the rest.
type Installer interface {
	// Write stores the payload and changes nothing that runs. When it
	// returned nil, the payload was read back, and survives a power cut.
	Write(ctx context.Context, p Payload) (Written, error)
	// Activate makes what was written take effect, and says whether that
	// needs a boot.
	Activate(ctx context.Context, w Written) (boot bool, err error)
	// Verify looks, after that boot, whether it did take effect.
	Verify(ctx context.Context, w Written) error
	// Confirm makes it permanent.
	Confirm(ctx context.Context, w Written) error
	// RollBack undoes Activate, whether or not it was done. ErrKept: it is
	// too late, the new one is permanent.
	RollBack(ctx context.Context, w Written, why Reason) error
	// Clean removes what only the update needed, however it ended.
	Clean(ctx context.Context) error
}

// Errors for callers that branch.
var (
	// ErrKept is returned when a roll back comes after the confirmation.
	ErrKept = errors.New("already permanent")
	// ErrRefused is returned by Write for a payload that must not be installed
	// here, however often it comes.
	ErrRefused = errors.New("payload refused")
)

// A Reason says why something is rolled back.
type Reason int

// The reasons.
const (
	SelfTest  Reason = iota // something failed on the device
	NoContact               // the server could not be reached
	Operator                // somebody asked for it
)

// A Payload is what an artifact carries. Its signature was verified.
type Payload struct {
	Header   *artifact.Header
	Security uint32 // security version; 0 when the artifact has none
	Signed   []byte // the signed manifest, see artifact.Reader; nil when there is none
	// Next returns the next file, and io.EOF after the last and only when the
	// artifact was complete and as signed. Nothing counts before that.
	Next func() (*artifact.File, error)
	// Stop makes reads of the stream fail from now on, also one that waits.
	Stop func()
}

// Written is what an update needs to remember of a payload.
type Written struct {
	Target   slot.Slot // the slot that was written; None for other kinds
	Image    string    // SHA-256 of the image in it, hex; other kinds keep here what they like
	Security uint32
	// Child says that it is for a device behind this one. Boots of this device
	// neither start nor stop it, and after one every method but Write is called
	// again where the update was, Activate too.
	Child bool
}
