// Package fleet is the contract between the fleet and every device protocol.
//
// A protocol (a front end) authenticates bytes, and asks Core; the control
// plane implements Core on the server, and a gateway implements it by asking
// a server. Front ends call Core; it calls no front end.
package fleet

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/inventory"
)

// Core is what any device protocol may ask. Every method may be called again
// with the same arguments after a lost answer, and then changes nothing.
// What a method acknowledged by a nil error survives a killed process.
type Core interface {
	// Enroll says which device a credential belongs to. The caller has
	// checked that the sender holds the private key. ErrPending and
	// ErrRejected are answers, not failures.
	Enroll(ctx context.Context, c Credential) (device.ID, error)

	// CheckIn says what the device should do now: the zero Assignment means
	// nothing. While an assignment has not ended it is offered again.
	// With nothing new it writes nothing and reads at most one row.
	CheckIn(ctx context.Context, id device.ID, r Report) (Assignment, error)

	// Progress moves the device's assignment. ErrCanceled tells the device
	// to stop and go back; ErrNotFound that there is no such assignment.
	Progress(ctx context.Context, id device.ID, p Progress) error

	// Describe stores inventory attributes. With replace, attributes that
	// are not named are dropped.
	Describe(ctx context.Context, id device.ID, a inventory.Attributes, replace bool) error

	// Log stores the device's log of a deployment, at most MaxLog bytes;
	// a later log replaces an earlier one.
	Log(ctx context.Context, id device.ID, d deployment.ID, log io.Reader) error

	// Open opens an artifact that is assigned to the device.
	Open(ctx context.Context, id device.ID, d deployment.ID) (Content, error)

	// Watch yields events after the cursor, waiting for new ones, until ctx
	// ends or the caller stops.
	Watch(ctx context.Context, after Cursor) iter.Seq2[Event, error]
}

// MaxLog bounds one deployment log.
const MaxLog = 1 << 20

var (
	ErrPending      = errors.New("device waits for acceptance")
	ErrRejected     = errors.New("device is rejected")
	ErrUnauthorized = errors.New("device is not accepted")
	ErrNotFound     = errors.New("no such assignment")
	ErrCanceled     = deployment.ErrCanceled
	ErrTooLarge     = errors.New("too large")
	ErrBusy         = errors.New("server is busy") // ask again later; a front end says when
	ErrStale        = errors.New("a newer session key is known")
)

// A Credential is what a device shows to be let in.
type Credential struct {
	Identity device.Identity
	Key      string // public key, PEM SubjectPublicKeyInfo, normalized
	Token    string // enrolment token; empty for none
}

// A Report is what a device says of itself when it checks in.
type Report struct {
	Type     string            // device type
	Provides map[string]string // what is installed, artifact_name included
}

// An Assignment is what a device is told to do.
type Assignment struct {
	Deployment deployment.ID // empty: nothing to do
	Artifact   Artifact
}

// An Artifact is what a device needs to know before it downloads one.
type Artifact struct {
	ID          string
	Name        string // release name, equal to the one inside the artifact
	DeviceTypes []string
	Size        int64
	SHA256      string // hex, of the whole artifact file
}

// Progress is a device's report on its assignment.
type Progress struct {
	Deployment deployment.ID
	State      deployment.State
	Detail     string // at most deployment.MaxDetail bytes; longer is cut
	Bytes      int64  // of the artifact, so far; 0 for not said
}

// Content is an artifact's bytes.
type Content interface {
	io.ReadSeekCloser
	io.ReaderAt
	Artifact() Artifact
}

// A Cursor is a place in the stream of events; 0 is the beginning.
type Cursor int64

// An Event is something that happened in the fleet, in the order in which
// it was stored.
type Event struct {
	Cursor     Cursor
	At         time.Time
	Kind       EventKind
	Device     device.ID
	Deployment deployment.ID
	State      deployment.State // for KindAssignment
	Detail     string
}

// EventKind says what happened.
type EventKind string

const (
	KindDevice     EventKind = "device"     // Detail: its new status
	KindRelease    EventKind = "release"    // Detail: artifact id
	KindDeployment EventKind = "deployment" // Detail: its new status
	KindAssignment EventKind = "assignment" // State: its new state
)
