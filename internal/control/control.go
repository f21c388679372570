// Package control is the control plane: it answers devices through the
// contract of package fleet, and operators through the methods of Control.
//
// It serves no protocol and draws no page; front ends and the API do.
// What a method acknowledged survives a killed process.
package control

import (
	"errors"
	"log/slog"
	"time"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/blob"
	"github.com/moult-ota/moult/internal/store"
)

// Causes that a caller branches on, with errors.Is. The message says which
// thing and what to do.
var (
	ErrNotFound     = errors.New("not found")
	ErrConflict     = errors.New("conflict")
	ErrPrecondition = errors.New("changed meanwhile, look again")
	ErrInUse        = errors.New("in use")
	ErrInvalid      = errors.New("invalid")
	ErrRefused      = errors.New("artifact refused")
	ErrIdempotency  = errors.New("idempotency key was used for another request")
	ErrAlready      = errors.New("already done")
	ErrUnauthorized = errors.New("token is unknown, deleted or expired")
)

// Options say what a Control works with. DB and Blobs are required.
type Options struct {
	DB     *store.DB
	Blobs  blob.Store
	Logger *slog.Logger     // nil discards
	Now    func() time.Time // nil means time.Now
	// Keys verify uploads: with any, an artifact that none of them signed is
	// refused. Without keys every well-formed artifact is taken; the device
	// still verifies it.
	Keys []artifact.Verifier
	// SeenEvery is how often last contacts are written; 0 means 30 s.
	SeenEvery time.Duration
	// MaxArtifact bounds one upload in bytes; 0 means 10 GiB.
	MaxArtifact int64
	// MaxPending bounds the devices that wait for acceptance; 0 means 100,000.
	MaxPending int
}

// A Page asks for a part of a list.
type Page struct {
	Limit  int    // 1 to 500; 0 means 50
	Cursor string // List.Next of the part before; empty for the first
}

// A List is a part of a list. It may be shorter than asked for, even empty,
// while Next says that more follows: a filter looks at a bounded number of
// devices per call.
type List[T any] struct {
	Items []T
	Next  string // cursor of the next part; empty for the last
}
