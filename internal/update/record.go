package update

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/slot"
)

// A Phase is where the engine stands; each asks for one effect.
type Phase string

// The phases, and what is done in each.
const (
	Idle       Phase = "idle"       // ask the server, between waits
	Announcing Phase = "announcing" // report downloading
	Fetching   Phase = "fetching"   // download, verify, write
	Staging    Phase = "staging"    // report installing
	Activating Phase = "activating" // set the upgrade flag, or run the module
	Leaving    Phase = "leaving"    // report rebooting
	Rebooting  Phase = "rebooting"  // reboot into the new image
	Checking   Phase = "checking"   // self-test of the new image
	Joining    Phase = "joining"    // authenticate with the new image
	Proving    Phase = "proving"    // report trying; must be acknowledged
	Waiting    Phase = "waiting"    // an operator confirms or gives up; no server
	Confirming Phase = "confirming" // make it permanent
	Reverting  Phase = "reverting"  // take the upgrade flag back, or undo the module
	Returning  Phase = "returning"  // reboot into the old image
	Reporting  Phase = "reporting"  // report the outcome until acknowledged
	Logging    Phase = "logging"    // hand over the log
)

// An Outcome is how an update ended.
type Outcome struct {
	Deployment deployment.ID    `json:"deployment,omitempty"`
	State      deployment.State `json:"state,omitempty"` // final, or empty
	Detail     string           `json:"detail,omitempty"`
	Attempts   int              `json:"attempts,omitempty"` // times that this deployment was begun
}

// Why says who gave a new image up; the boot register keeps it.
type Why string

// The reasons; none means that something broke on the device.
const (
	NoContact Why = "no contact"
	Operator  Why = "operator"
	Unfit     Why = "unfit" // it failed its checks
)

// because returns r with the reason for giving the new image up.
func (r Record) because(w Why) Record {
	r.Why = w
	return r
}

// Provides is what is installed: key to value.
type Provides = map[string]string

// A Record is all that the engine knows. What is marked volatile is of one
// boot and is not stored.
type Record struct {
	Format int   `json:"format"`
	Phase  Phase `json:"phase"`

	// The update under way, from Offered on.
	Deployment deployment.ID `json:"deployment,omitempty"`
	Standalone bool          `json:"standalone,omitempty"` // an operator's, no server is told
	Artifact   string        `json:"artifact,omitempty"`   // name, as offered and later as verified
	URI        string        `json:"uri,omitempty"`        // where it is
	Attempts   int           `json:"attempts,omitempty"`   // times that this deployment was begun

	// What was verified and written, from Fetched on.
	Kind    string    `json:"kind,omitempty"`     // payload type, names the installer
	Target  slot.Slot `json:"target,omitempty"`   // slot of the new image; None: installed in place
	Image   string    `json:"image,omitempty"`    // SHA-256 of the image in Target, hex; else what the installer remembers
	Child   bool      `json:"child,omitempty"`    // of a device behind this one, whose boots are not this one's
	Floor   uint32    `json:"floor,omitempty"`    // security version, the floor once confirmed
	FloorOf string    `json:"floor_of,omitempty"` // the provide that holds it
	Pending Provides  `json:"pending,omitempty"`  // provides once confirmed
	Boot    bool      `json:"boot,omitempty"`     // takes effect with a boot

	Why     Why     `json:"why,omitempty"`    // what Reverting is for
	Outcome Outcome `json:"outcome,omitzero"` // how the update under way will have ended, once known
	Last    Outcome `json:"last,omitzero"`    // how the one before ended, acknowledged

	// Installed is what each slot's image provides; None without slots.
	Installed map[slot.Slot]Provides `json:"installed,omitempty"`
	// Floors are the security versions confirmed so far, by provide. No
	// artifact clears them.
	Floors map[string]uint32 `json:"floors,omitempty"`

	Ran      bool   `json:"ran,omitempty"`       // the new image ran, or the module took effect
	LeftBoot string `json:"left_boot,omitempty"` // ThisBoot when the reboot was asked for
	Boots    int    `json:"boots,omitempty"`     // boots since this step was begun
	Fetches  int    `json:"fetches,omitempty"`   // downloads of this deployment that broke off

	Tries      int       `json:"-"` // errors of this phase's effect in a row
	ThisBoot   string    `json:"-"` // differs from boot to boot; empty when not known
	Running    slot.Slot `json:"-"` // the slot that was booted
	WaitUntil  time.Time `json:"-"` // no effect before
	TrialUntil time.Time `json:"-"` // when the new image is given up
}

const (
	format    = 1
	maxRecord = 256 << 10 // bytes of an encoded record
	maxDetail = deployment.MaxDetail
)

// ErrRecord is returned for bytes that hold no record of this format.
var ErrRecord = errors.New("bad update record")

// Encode returns the bytes to store: JSON, a newline at the end.
func (r Record) Encode() ([]byte, error) {
	r.Format = format
	text, err := json.Marshal(r)
	if err == nil && len(text) >= maxRecord {
		err = fmt.Errorf("%d bytes, at most %d", len(text), maxRecord)
	}
	if err != nil {
		return nil, fmt.Errorf("encode update record: %w", err)
	}
	return append(text, '\n'), nil
}

// Decode reads what Encode returned. No bytes are the record of a device that
// was never updated.
func Decode(src []byte) (Record, error) {
	if len(src) == 0 {
		return Record{Phase: Idle}, nil
	}
	if len(src) > maxRecord {
		return Record{}, fmt.Errorf("%w: %d bytes, at most %d", ErrRecord, len(src), maxRecord)
	}
	var r Record
	if err := json.Unmarshal(src, &r); err != nil {
		return Record{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	if _, known := table[r.Phase]; r.Format != format || !known {
		return Record{}, fmt.Errorf("%w: format %d, phase %q", ErrRecord, r.Format, r.Phase)
	}
	return r, nil
}

// Provides returns what the image in the running slot provides.
func (r Record) Provides() Provides { return r.Installed[r.Running] }

// install returns r with what slot s provides.
func (r Record) install(s slot.Slot, p Provides) Record {
	all := maps.Clone(r.Installed)
	if all == nil {
		all = map[slot.Slot]Provides{}
	}
	all[s] = p
	r.Installed = all
	return r
}

// clear forgets the update under way.
func (r Record) clear() Record {
	return Record{Phase: Idle, Installed: r.Installed, Floors: r.Floors, Last: r.Last,
		Tries: r.Tries, ThisBoot: r.ThisBoot, Running: r.Running}
}

// enter moves to the next phase of a step.
func (r Record) enter(p Phase) Record {
	r.Phase, r.Tries, r.WaitUntil = p, 0, time.Time{}
	return r
}

// begin moves to the first phase of a step, which has its own count of boots.
func (r Record) begin(p Phase) Record {
	r.Boots = 0
	return r.enter(p)
}
