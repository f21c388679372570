package update

import (
	"time"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/slot"
)

// An Event is something that happened. One that does not fit the phase
// changes nothing.
type Event interface{ event() }

// Booted is the first event of every run of the agent.
type Booted struct {
	Running slot.Slot // None: a device without slots
	Trial   slot.Slot // the boot register's upgrade flag
	Failed  slot.Slot // a slot that the register marks as failed
	Why     string    // its reason
	ID      string    // differs from boot to boot; empty when not known
	At      time.Time // of the first poll
	// Provides is what the running image provides, for a record that does not
	// know: of a device that was never updated.
	Provides Provides
}

// Events of Idle.
type (
	// Offered is an update to install.
	Offered struct {
		Deployment deployment.ID // empty when Standalone
		Artifact   string        // its name; empty when not known
		URI        string
		Standalone bool
	}
	// Nothing is an answer without an update; At is when to ask again.
	Nothing struct{ At time.Time }
)

// Events that end an effect.
type (
	// OK says that the effect was carried out, and acknowledged.
	OK struct{}
	// Broke says that the effect failed and would fail again.
	Broke struct{ Detail string }
	// Down says that the server could not be reached, or is busy; After, when
	// not 0, is how long it wants to be left alone.
	Down struct {
		Detail string
		After  time.Duration
	}
	// Canceled says that the server wants no such update any more.
	Canceled struct{}
	// Kept ends a roll back that came too late: the image is permanent.
	Kept struct{}
)

// Events that end a fetch.
type (
	// Fetched says that an artifact was verified and its payload written, read
	// back and stored.
	Fetched struct {
		Artifact string
		Kind     string
		Target   slot.Slot
		Image    string // SHA-256 of a slot's image, hex; else what the installer remembers
		Child    bool   // it is for a device behind this one
		FloorKey string // the provide that holds Floor; empty for none
		Floor    uint32
		Pending  Provides
	}
	// Refused says that the artifact must not be installed on this device.
	Refused struct{ Detail string }
	// Expired says that the address is good no longer.
	Expired struct{}
)

// Activated ends Activating. Boot says that a boot is needed to take effect.
type Activated struct{ Boot bool }

// What an operator says on the device.
type (
	Commit  struct{} // keep the new image
	Abandon struct{} // go back
)

// Tick says only that time has passed.
type Tick struct{}

func (Booted) event()    {}
func (Offered) event()   {}
func (Nothing) event()   {}
func (OK) event()        {}
func (Broke) event()     {}
func (Down) event()      {}
func (Canceled) event()  {}
func (Kept) event()      {}
func (Fetched) event()   {}
func (Refused) event()   {}
func (Expired) event()   {}
func (Activated) event() {}
func (Commit) event()    {}
func (Abandon) event()   {}
func (Tick) event()      {}
