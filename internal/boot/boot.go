// Package boot decides which slot a device starts, and how the application
// moves that decision: request a trial, confirm it, roll it back.
//
// It is pure: values in, values out. It knows no boot loader; each is an Env
// in a package below this one, and package boottest cuts the power at every
// write of an Env. It does not read images either: a Check does.
//
//	               Request                   Boot, image good, tries left
//	runs Current ───────────► flag set ──────────────────────────────────► runs Trial
//	     ▲                       │                                          │  │  │
//	     │    image bad,         │                              Confirm     │  │  │
//	     ├───── no tries ────────┘        ┌─── Current = Trial ◄────────────┘  │  │
//	     │                                │                          RollBack  │  │
//	     ├────────────────────────────────┘                                    │  │
//	     ├────────── flag cleared, slot failed ◄───────────────────────────────┘  │
//	     └────────── tries used up at a later boot ◄──────────────────────────────┘
//
// A loader that finds nothing fit to start may fetch an image; Recovered makes
// it current.
//
// Its promise: at every instant a power cut leaves Vars from which Boot starts
// a complete, verified image, once a device has had one.
package boot

import (
	"fmt"

	"github.com/moult-ota/moult/internal/slot"
)

// DefaultTries is how often a trial starts before it counts as failed.
const DefaultTries = 3

// DigestSize is how many bytes of an image's SHA-256 Vars keeps.
const DigestSize = 8

// A Digest is the first bytes of an image's SHA-256. It binds Vars to the
// image in a slot; the whole digest stands in the slot's descriptor.
type Digest [DigestSize]byte

func (d Digest) String() string { return fmt.Sprintf("%x", d[:]) }

// An Image identifies one image.
type Image struct {
	Digest   Digest
	Security uint32 // security version, compared with Vars.Floor
}

// ImageOf returns the image that a slot's descriptor names.
func ImageOf(d slot.Descriptor) Image {
	return Image{Digest: Digest(d.SHA256[:DigestSize]), Security: d.Security}
}

// A State is what is known about a slot.
type State uint8

// The states of a slot.
const (
	Empty     State = iota // nothing, or being written
	Valid                  // complete and verified, not yet confirmed
	Confirmed              // an application confirmed it after its self-test
	Failed                 // it was given up, see Reason
)

func (s State) String() string { return name("state", int(s), stateNames) }

// A Reason says why a slot failed.
type Reason uint8

// The reasons. The loader gives the first group, the application the second.
const (
	NoReason        Reason = iota
	ReasonImage            // incomplete, damaged or not signed
	ReasonTries            // started as often as allowed and never confirmed
	ReasonFloor            // its security version is below the floor
	ReasonSelfTest         // the application's checks failed
	ReasonNoContact        // the application could not reach its server
	ReasonOperator         // an operator asked for it
)

func (r Reason) String() string { return name("reason", int(r), reasonNames) }

var (
	stateNames  = []string{"empty", "valid", "confirmed", "failed"}
	reasonNames = []string{"", "image", "tries", "floor", "self-test", "no contact", "operator"}
)

func name(what string, n int, names []string) string {
	if n < len(names) {
		return names[n]
	}
	return fmt.Sprintf("%s(%d)", what, n)
}

// SlotVars is what boot loader and application know about one slot.
type SlotVars struct {
	State  State
	Reason Reason // why State is Failed
	Image  Image  // zero when State is Empty
}

// Vars is what boot loader and application share. The zero Vars are a device
// that never had an image. Vars are comparable with ==.
type Vars struct {
	Current    slot.Slot // what runs when nothing is on trial; None: no image yet
	Trial      slot.Slot // the upgrade flag: the slot on trial, or None
	Tries      uint8     // starts that the trial has left
	Floor      uint32    // no image with a lower security version starts
	Deployment uint32    // the update under way, for the application; the loader keeps it
	Slots      [2]SlotVars
}

// Slot returns what is known about s, and the zero SlotVars for None.
func (v Vars) Slot(s slot.Slot) SlotVars {
	if !s.Valid() {
		return SlotVars{}
	}
	return v.Slots[s-1]
}

// with returns v with x for slot s.
func (v Vars) with(s slot.Slot, x SlotVars) Vars {
	v.Slots[s-1] = x
	return v
}

// An Env keeps Vars where the boot loader finds them.
type Env interface {
	// Load returns what was last saved; zero Vars when nothing was. What it
	// returned once it returns again, until Save, whatever the power does.
	Load() (Vars, error)
	// Save replaces Vars atomically: after a power cut Load returns the old
	// Vars or the new ones, never a mix. When Save returned nil: the new ones.
	Save(Vars) error
}
