// Package control is the control plane: it answers devices through the
// contract of package fleet, and operators through the methods of Control.
//
// It serves no protocol and draws no page; front ends and the API do.
// What a method acknowledged survives a killed process.
package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/blob"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/store"
	"github.com/moult-ota/moult/mcuboot"
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
	DB     *store.DB // no other Control's: each opens its own
	Blobs  blob.Store
	Logger *slog.Logger     // nil discards
	Now    func() time.Time // nil means time.Now
	// Keys verify uploads: with any, an artifact that none of them signed is
	// refused. Without keys every well-formed artifact is taken; the device
	// still verifies it.
	Keys []artifact.Verifier
	// ImageKeys verify the MCUboot images in uploads: with any, an image that
	// none of them signed is refused, and so is an encrypted one, whose
	// signature only its device can check.
	ImageKeys []mcuboot.PublicKey
	// SeenEvery is how often last contacts are written; 0 means 30 s.
	SeenEvery time.Duration
	// MaxArtifact bounds one upload in bytes; 0 means 10 GiB.
	MaxArtifact int64
	// MaxPending bounds the devices that wait for acceptance; 0 means 100,000.
	MaxPending int
}

// A Control is the control plane. It implements fleet.Core. Several of them,
// in several processes, may work on one store.
type Control struct {
	Options
	memory   memory                   // of devices that checked in
	epoch    atomic.Uint32            // grows when active deployments change
	snapshot atomic.Pointer[snapshot] // of active deployments, as of its epoch
	loading  sync.Mutex               // held while a snapshot is read
	progress byteCounts
	started  fleet.Cursor // events up to here were known to New
}

var _ fleet.Core = (*Control)(nil)

// New opens the control plane.
func New(o Options) (*Control, error) {
	if o.DB == nil || o.Blobs == nil {
		return nil, errors.New("open control plane: store and blobs are required")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.SeenEvery = or(o.SeenEvery, 30*time.Second)
	o.MaxArtifact = or(o.MaxArtifact, 10<<30)
	o.MaxPending = or(o.MaxPending, 100_000)
	c := &Control{Options: o}
	c.epoch.Store(1) // 0 is what a device that was never looked up has
	var err error
	if c.started, err = o.DB.Read(context.Background()).LastEvent(); err != nil {
		return nil, fmt.Errorf("open control plane: %w", err)
	}
	return c, nil
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// Ready returns nil while the store answers.
func (c *Control) Ready(ctx context.Context) error {
	_, err := c.DB.Read(ctx).LastEvent()
	return wrap("ask the store", err)
}

// A change is a transaction, and what has to be looked up again after it.
type change struct {
	*store.Tx
	at          time.Time
	forget      []device.ID // their standing or assignments changed
	deployments bool        // active deployments, or their artifacts, changed
}

// update runs fn in a transaction. When it returns, check-ins on this server
// see what fn did; those on others see it within a second.
func (c *Control) update(ctx context.Context, fn func(*change) error) error {
	var ch change
	err := c.DB.Update(ctx, func(tx *store.Tx) error {
		ch = change{Tx: tx, at: c.Now()}
		return fn(&ch)
	})
	for _, id := range ch.forget { // after an error too: the commit may have happened
		c.memory.forget(id)
	}
	if ch.deployments {
		c.epoch.Add(1)
	}
	return err
}

func wrap(act string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", act, err)
}

// found turns the store's word for "not there" into the operators'.
func found(thing string, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("%s: %w", thing, ErrNotFound)
	}
	return wrap(thing, err)
}
