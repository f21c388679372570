// Package link is how an agent reaches its server: the contract, and the
// reader that carries a download over a bad line. A way to reach it over one
// protocol is a package below this one.
package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/inventory"
)

// A Link asks one fleet on behalf of one device. It keeps no state that a
// restart would miss; every method may be repeated after a lost answer. It is
// used by one goroutine at a time.
type Link interface {
	// Authenticate proves anew who the device is, whatever was granted
	// before. ErrUnauthorized: the server answered, and does not accept it.
	Authenticate(ctx context.Context) error

	// Next asks what to do. The zero Offer means nothing.
	Next(ctx context.Context, r fleet.Report) (Offer, error)

	// Progress reports a state. It returns nil only for a report that the
	// server acknowledged; ErrCanceled or ErrNotFound when it wants none.
	Progress(ctx context.Context, p fleet.Progress) error

	// Describe replaces the device's inventory.
	Describe(ctx context.Context, a inventory.Attributes) error

	// Log hands over the log of a deployment.
	Log(ctx context.Context, d deployment.ID, lines []Line) error

	// Open opens the artifact behind an offered address at a byte offset.
	// ErrExpired: the address is good no longer, ask Next for another.
	Open(ctx context.Context, uri string, offset int64) (Stream, error)
}

// Answers of a server that a caller branches on. Any other error means that
// the server could not be reached, or not understood.
var (
	ErrUnauthorized = fleet.ErrUnauthorized
	ErrCanceled     = fleet.ErrCanceled
	ErrNotFound     = fleet.ErrNotFound
	ErrExpired      = errors.New("the address of the artifact has expired")
	ErrTooLarge     = fleet.ErrTooLarge
)

// A BusyError is a server that said when to come back.
type BusyError struct {
	After time.Duration
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("server is busy: come back in %v", e.After)
}

// An Offer is what the server wants installed.
type Offer struct {
	Deployment  deployment.ID // empty: nothing
	Artifact    string        // its name, equal to the one inside
	DeviceTypes []string
	URI         string
	Size        int64 // bytes of the artifact; 0 when not said
}

// A Line is one line of a deployment log.
type Line struct {
	At      time.Time
	Level   string // debug, info, warning, error
	Message string
}

// A Stream is an artifact's bytes from an offset on.
type Stream struct {
	Body  io.ReadCloser
	Total int64  // bytes of the whole artifact; -1 when not known
	Tag   string // changes when the artifact does; empty when not known
}
