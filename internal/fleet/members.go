package fleet

import (
	"context"

	"github.com/moult-ota/moult/internal/device"
)

// Members is what a protocol with sessions asks beside Core: who has which
// session key. A member is a device that enrolled for sessions and is
// accepted.
type Members interface {
	// Enlist remembers a member, or its new session key. Only a greater
	// counter replaces what is known: ErrStale otherwise, except for the very
	// same key.
	Enlist(ctx context.Context, m Member) error

	// Member returns a member by its name on the wire. ErrUnauthorized: there
	// is none, or it is not accepted with that identity key any more.
	Member(ctx context.Context, id string) (Member, error)

	// Children names the members behind a gateway, at most MaxChildren.
	Children(ctx context.Context, gateway string) ([]string, error)

	// Number returns a number that is greater than all it returned before,
	// whatever the clock and the power do.
	Number(ctx context.Context) (uint64, error)
}

// MaxChildren bounds the devices behind one gateway.
const MaxChildren = 10_000

// A Member is one device with a session key.
type Member struct {
	ID      string // first 32 hex digits of the SHA-256 of its identity key
	Device  device.ID
	Key     string // identity key, PEM SubjectPublicKeyInfo, normalized
	Suite   uint8
	Session []byte // public session key
	Counter uint64 // of the request that brought it
	Gateway string // the member that carries its messages; empty for none
	Serves  bool   // it is a gateway itself
}
