package virtualmcu

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	"github.com/moult-ota/moult/mcuboot"
)

// Habits are how a firmware behaves once it boots. They are written in its
// payload, so that what is deployed decides. The zero value behaves.
type Habits struct {
	Type    string        `json:"type,omitempty"`    // board it is for; on another it hangs. "": any
	Crash   bool          `json:"crash,omitempty"`   // it boots and never answers
	Sick    bool          `json:"sick,omitempty"`    // it answers, but echo, the usual self-test, fails
	Confirm Confirm       `json:"confirm,omitempty"` // who confirms it
	After   time.Duration `json:"after,omitempty"`   // when, with ConfirmSelf; in nanoseconds
	NoDFU   bool          `json:"no_dfu,omitempty"`  // it has no DFU interface: nothing else comes in over USB
}

// Confirm is how a firmware becomes permanent.
type Confirm string

// The ways.
const (
	ConfirmHost  Confirm = ""      // SMP may confirm it
	ConfirmSelf  Confirm = "self"  // it does so itself, too
	ConfirmNever Confirm = "never" // it does not, and refuses to when asked
)

// A Firmware is what Image makes an image of.
type Firmware struct {
	Habits
	Version mcuboot.Version
	Key     crypto.Signer
	Size    int     // about, in bytes of payload; 0 means 8 KiB
	Counter *uint32 // security counter; nil: none
	ClassID []byte  // of the boards that it is for, 16 bytes; nil: none
}

// mark begins the payload of a firmware with habits.
const mark = "moult-mcu "

// maxHabits bounds what is read of a payload, in bytes.
const maxHabits = 1024

// Image signs a firmware. The same one has the same payload each time.
func (f Firmware) Image() ([]byte, error) {
	text, err := json.Marshal(f.Habits)
	if err != nil {
		return nil, fmt.Errorf("make image: %w", err)
	}
	payload := append([]byte(mark), append(text, '\n')...)
	if len(payload) > maxHabits {
		return nil, fmt.Errorf("make image: habits of %d bytes, at most %d", len(payload), maxHabits)
	}
	size := f.Size
	set(&size, 8<<10)
	rng := mathrand.New(mathrand.NewPCG(uint64(f.Version.Major)<<32|uint64(f.Version.Minor)<<16|uint64(f.Version.Revision), uint64(f.Version.Build)))
	for len(payload) < size {
		payload = append(payload, byte(rng.Uint32()))
	}
	return mcuboot.Sign(rand.Reader, mcuboot.Spec{Payload: payload, Version: f.Version, Key: f.Key, HeaderSize: 0x200, Counter: f.Counter, ClassID: f.ClassID})
}

// habits reads those of a payload. One without behaves.
func habits(payload []byte) (h Habits) {
	rest, ok := bytes.CutPrefix(payload[:min(len(payload), maxHabits)], []byte(mark))
	line, _, end := bytes.Cut(rest, []byte{'\n'})
	if !ok || !end || json.Unmarshal(line, &h) != nil {
		return Habits{}
	}
	return h
}
