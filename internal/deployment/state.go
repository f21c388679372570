package deployment

import (
	"errors"
	"fmt"
	"time"

	"github.com/moult-ota/moult/internal/device"
)

// State is where one device's part in a deployment stands.
//
//	pending → offered → downloading → installing → rebooting → trying → done
//	   └─────────┴───────────┴────────────┴────────────┴─────────┴→ failed, rolled-back,
//	                                                                 refused, canceled, skipped
type State string

const (
	Pending     State = "pending"     // the device has not asked yet
	Offered     State = "offered"     // it was told
	Downloading State = "downloading" // bytes are under way
	Installing  State = "installing"  // written, being activated
	Rebooting   State = "rebooting"   // about to start the new image
	Trying      State = "trying"      // the new image runs, not yet confirmed

	Done       State = "done"        // booted, checked and confirmed
	Failed     State = "failed"      // ended with an error; the old image runs
	RolledBack State = "rolled-back" // the new image ran and was given up
	Refused    State = "refused"     // signature, device type, dependency or floor
	Canceled   State = "canceled"    // an operator stopped it
	Skipped    State = "skipped"     // already there, or no artifact fits
)

// States lists all states in the order of the ladder.
var States = []State{Pending, Offered, Downloading, Installing, Rebooting, Trying,
	Done, Failed, RolledBack, Refused, Canceled, Skipped}

// Final reports whether nothing can follow s.
func (s State) Final() bool {
	switch s {
	case Done, Failed, RolledBack, Refused, Canceled, Skipped:
		return true
	}
	return false
}

// Known reports whether s is one of States.
func (s State) Known() bool { return s.Final() || s.rank() >= 0 }

func (s State) rank() int {
	for i, t := range States[:6] {
		if s == t {
			return i
		}
	}
	return -1
}

var (
	// ErrEnded answers a report about an assignment that came to another end.
	ErrEnded = errors.New("assignment has ended")
	// ErrCanceled answers any report about a canceled assignment.
	ErrCanceled = errors.New("deployment was canceled")
	// ErrState answers a report of a state that devices cannot report.
	ErrState = errors.New("not a state that a device reports")
)

// Advance returns the state of an assignment in state from after its device
// reported to. Reports are repeated, late and out of order, so a report of an
// earlier step is no error and changes nothing; a device that lost power may
// start its download again. Once rebooting, "installing" means the trial: it
// is how Mender's clients say that the new image is up.
func Advance(from, to State) (State, error) {
	switch {
	case from == Canceled:
		return from, ErrCanceled
	case to == Pending || to == Offered || to == Canceled || !to.Known():
		return from, fmt.Errorf("%w: %q", ErrState, to)
	case from == to:
		return from, nil
	case from.Final():
		return from, fmt.Errorf("%w: %s", ErrEnded, from)
	case to.Final():
		return to, nil
	case from == Rebooting && to == Installing:
		return Trying, nil
	case from.rank() <= Installing.rank(), to.rank() > from.rank():
		return to, nil
	}
	return from, nil
}

// An Assignment is one device's part in one deployment.
type Assignment struct {
	Deployment ID
	Device     device.ID
	State      State
	Detail     string // the device's own words, at most MaxDetail bytes
	Artifact   string // artifact chosen for it; empty until offered
	Bytes      int64  // of the artifact, so far
	Total      int64
	Attempt    int // 1 for the first
	HasLog     bool
	UpdatedAt  time.Time
}

// MaxDetail bounds what a device may say beside a state.
const MaxDetail = 1024

// A Transition is one step that an assignment took; transitions are only
// ever appended.
type Transition struct {
	Deployment ID
	Device     device.ID
	From, To   State
	Detail     string
	At         time.Time
}
