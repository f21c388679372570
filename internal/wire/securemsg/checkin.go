package securemsg

import (
	"errors"
	"fmt"

	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
)

// Limits of a check-in; texts in bytes.
const (
	MaxProvides = 256
	MaxName     = 256
	MaxProvided = 4 << 10
	maxCheckIn  = 32 << 10
)

// A CheckIn asks what to do. The server answers with an Assignment, or with
// an Ack when there is nothing.
type CheckIn struct {
	Number   uint64            `cbor:"1,keyasint"`
	Type     string            `cbor:"2,keyasint"` // device type
	Provides map[string]string `cbor:"3,keyasint"`
}

// Report is the message in the words of the fleet.
func (c CheckIn) Report() fleet.Report { return fleet.Report{Type: c.Type, Provides: c.Provides} }

// Append appends the message to dst.
func (c CheckIn) Append(dst []byte) ([]byte, error) { return encode(dst, c) }

func (CheckIn) kind() Kind { return KindCheckIn }
func (CheckIn) limit() int { return maxCheckIn }

func (c CheckIn) check() error {
	if len(c.Provides) > MaxProvides {
		return fmt.Errorf("%d provides, at most %d", len(c.Provides), MaxProvides)
	}
	for name, value := range c.Provides {
		err := first(checkText("name in provides", name, 1, MaxName), checkText("value in provides", value, 0, MaxProvided))
		if err != nil {
			return err
		}
	}
	return first(checkNumber(c.Number), checkText("device type", c.Type, 1, device.MaxType))
}

// checkNumber refuses 0, so that a number that was forgotten shows.
func checkNumber(n uint64) error {
	if n == 0 {
		return errors.New("number 0, want 1 or more")
	}
	return nil
}
