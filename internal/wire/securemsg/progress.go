package securemsg

import (
	"fmt"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/fleet"
)

// Limits of these messages, in bytes.
const (
	maxProgress = 2 << 10
	maxCancel   = 128
)

// Progress is a device's report on its assignment. The device repeats it
// until it is acknowledged; the server knows a repetition by the number,
// which no two reports of a device share, reboots included.
type Progress struct {
	Number     uint64           `cbor:"1,keyasint"`
	Deployment deployment.ID    `cbor:"2,keyasint"`
	State      deployment.State `cbor:"3,keyasint"`
	Detail     string           `cbor:"4,keyasint,omitempty"`
	Bytes      int64            `cbor:"5,keyasint,omitempty"` // of the artifact, so far
	Sent       int64            `cbor:"6,keyasint,omitempty"` // bytes on the device's line since its agent started
	Received   int64            `cbor:"7,keyasint,omitempty"`
}

// NewProgress puts a report into the words of the wire.
func NewProgress(number uint64, p fleet.Progress) Progress {
	return Progress{Number: number, Deployment: p.Deployment, State: p.State, Detail: cut(p.Detail, deployment.MaxDetail), Bytes: p.Bytes}
}

// Fleet is the report in the words of the fleet.
func (p Progress) Fleet() fleet.Progress {
	return fleet.Progress{Deployment: p.Deployment, State: p.State, Detail: p.Detail, Bytes: p.Bytes}
}

// Append appends the message to dst.
func (p Progress) Append(dst []byte) ([]byte, error) { return encode(dst, p) }

func (Progress) kind() Kind { return KindProgress }
func (Progress) limit() int { return maxProgress }

func (p Progress) check() error {
	// From any open state, Advance knows which states a device may report.
	if _, err := deployment.Advance(deployment.Offered, p.State); err != nil {
		return err
	}
	if p.Bytes < 0 || p.Sent < 0 || p.Received < 0 {
		return fmt.Errorf("%d bytes, %d sent, %d received", p.Bytes, p.Sent, p.Received)
	}
	return first(checkNumber(p.Number), checkDeployment(p.Deployment), checkText("detail", p.Detail, 0, deployment.MaxDetail))
}

// Cancel tells a device to stop an assignment and go back. Progress that is
// answered with ResultCanceled says the same.
type Cancel struct {
	Number     uint64        `cbor:"1,keyasint"` // of the assignment
	Deployment deployment.ID `cbor:"2,keyasint"`
}

// Append appends the message to dst.
func (c Cancel) Append(dst []byte) ([]byte, error) { return encode(dst, c) }

func (Cancel) kind() Kind     { return KindCancel }
func (Cancel) limit() int     { return maxCancel }
func (c Cancel) check() error { return first(checkNumber(c.Number), checkDeployment(c.Deployment)) }
