// Package frontendtest is one story for all device protocols: what happens
// between a device, a front end and the fleet, whatever the bytes between
// them look like. A new protocol is done when its Device passes Run.
package frontendtest

import (
	"context"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/inventory"
)

// A Device speaks one protocol to one front end. What the front end answers
// comes back as the errors of package fleet: ErrUnauthorized for a device
// that is not let in, and for a reference that is forged or expired.
// It asks once: no method tries again or enrols by itself.
type Device interface {
	Enroll(ctx context.Context) error
	// CheckIn returns the zero Offer for nothing to do.
	CheckIn(ctx context.Context, r fleet.Report) (Offer, error)
	Progress(ctx context.Context, p fleet.Progress) error
	Describe(ctx context.Context, a inventory.Attributes, replace bool) error
	Log(ctx context.Context, d deployment.ID, line string) error
	// Download reads an artifact from a byte offset to its end.
	Download(ctx context.Context, o Offer, offset int64) ([]byte, error)
}

// An Offer is an assignment, and where its artifact is in the protocol's own
// words. For an empty Ref a Device asks as well as it can without one.
type Offer struct {
	fleet.Assignment
	Ref string
}

// An Operator is the other side of the fleet.
type Operator interface {
	// Accept lets in the key with which the identity asked last.
	Accept(identity device.Identity) (device.ID, error)
	Reject(identity device.Identity) error
	// Publish adds an artifact with a payload of size bytes to a release and
	// returns the file that devices get.
	Publish(release, deviceType string, size int) ([]byte, error)
	Deploy(release string, ids ...device.ID) (deployment.ID, error)
	Abort(d deployment.ID) error
}

// Records is what the fleet knows in the end.
type Records interface {
	Assignment(d deployment.ID, id device.ID) (deployment.Assignment, error)
	LogText(d deployment.ID, id device.ID) (string, error)
	Inventory(id device.ID) (inventory.Attributes, error)
}

// A World is a running fleet behind a front end.
type World struct {
	Operator Operator
	Records  Records
	// Device returns a device with a new key of its own.
	Device func(t *testing.T, identity device.Identity) Device
	// Advance moves the world's clock.
	Advance func(time.Duration)
	// Grant and Link are how long a token and an artifact's reference are good.
	Grant, Link time.Duration
}

// A Factory returns a new world, which ends with the test.
type Factory func(t *testing.T) World

// Run tells every story in a world of its own: once as it is, and once with
// every request sent twice, as after a lost answer.
func Run(t *testing.T, world Factory) {
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) { s.tell(newStage(t, world(t))) })
		t.Run(s.name+" with every answer lost once", func(t *testing.T) {
			w := world(t)
			once := w.Device
			w.Device = func(t *testing.T, identity device.Identity) Device { return twice{once(t, identity)} }
			s.tell(newStage(t, w))
		})
	}
}

// twice asks everything twice and believes the second answer.
type twice struct{ Device }

func (d twice) Enroll(ctx context.Context) error {
	d.Device.Enroll(ctx)
	return d.Device.Enroll(ctx)
}

func (d twice) CheckIn(ctx context.Context, r fleet.Report) (Offer, error) {
	d.Device.CheckIn(ctx, r)
	return d.Device.CheckIn(ctx, r)
}

func (d twice) Progress(ctx context.Context, p fleet.Progress) error {
	d.Device.Progress(ctx, p)
	return d.Device.Progress(ctx, p)
}

func (d twice) Describe(ctx context.Context, a inventory.Attributes, replace bool) error {
	d.Device.Describe(ctx, a, replace)
	return d.Device.Describe(ctx, a, replace)
}

func (d twice) Log(ctx context.Context, id deployment.ID, line string) error {
	d.Device.Log(ctx, id, line)
	return d.Device.Log(ctx, id, line)
}

func (d twice) Download(ctx context.Context, o Offer, offset int64) ([]byte, error) {
	d.Device.Download(ctx, o, offset)
	return d.Device.Download(ctx, o, offset)
}
