// Package deployment holds the rules of sending one release to a set of
// devices: the states of one device's part in it, which state may follow
// which, and whom a deployment is for. It is pure: values in, values out.
package deployment

import (
	"errors"
	"fmt"
	"time"

	"github.com/moult-ota/moult/internal/device"
)

// An ID names a deployment.
type ID string

// Status is what a deployment as a whole is doing.
type Status string

const (
	Active   Status = "active"   // devices may still get it
	Finished Status = "finished" // every device came to an end
	Aborted  Status = "aborted"  // an operator stopped it
)

// A Deployment is one release sent to a set of devices.
type Deployment struct {
	ID         ID
	Name       string
	Release    string
	Target     Target
	Status     Status
	Retries    int // fresh attempts a device gets after failed or rolled-back
	Size       int // devices it is for
	Counts     map[State]int
	CreatedAt  time.Time
	FinishedAt time.Time // zero while active
	CreatedBy  string
}

// Kind says how a Target picks its devices.
type Kind string

const (
	All     Kind = "all"     // every accepted device
	ByType  Kind = "type"    // every accepted device of one device type
	ByIDs   Kind = "devices" // the devices named
	ByQuery Kind = "filter"  // accepted devices that match an inventory filter now
)

// A Target says whom a deployment is for. The set is fixed when the
// deployment is created: a device accepted later is not in it.
type Target struct {
	Kind    Kind
	Type    string      // for ByType
	Devices []device.ID // for ByIDs
	Filter  string      // for ByQuery, in the language of package inventory
}

// MaxDevices bounds the ids that one request may name.
const MaxDevices = 10_000

// ErrTarget is returned for a target that picks no devices by construction.
var ErrTarget = errors.New("bad deployment target")

// Check refuses a target that says too little, or more than its kind takes.
func (t Target) Check() error {
	switch {
	case t.Kind != ByType && t.Type != "", t.Kind != ByIDs && len(t.Devices) > 0, t.Kind != ByQuery && t.Filter != "":
		return fmt.Errorf("%w: say exactly one of all, type, devices or filter", ErrTarget)
	case t.Kind == ByType && t.Type == "":
		return fmt.Errorf("%w: no device type named", ErrTarget)
	case t.Kind == ByIDs && len(t.Devices) == 0:
		return fmt.Errorf("%w: no device named", ErrTarget)
	case len(t.Devices) > MaxDevices:
		return fmt.Errorf("%w: %d devices named, at most %d; use a filter", ErrTarget, len(t.Devices), MaxDevices)
	case t.Kind == ByQuery && t.Filter == "":
		return fmt.Errorf("%w: the filter is empty; to mean every device, say all", ErrTarget)
	}
	switch t.Kind {
	case All, ByType, ByIDs, ByQuery:
		return nil
	}
	return fmt.Errorf("%w: unknown kind %q", ErrTarget, t.Kind)
}
