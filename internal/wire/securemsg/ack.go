package securemsg

import (
	"errors"
	"fmt"
	"time"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/fleet"
)

// Limits of these messages.
const (
	maxTime = 16 // bytes
	maxAck  = 32 // bytes
	MaxWait = 24 * 60 * 60
)

// A Result says how a message fared. Results other than ResultBusy are final:
// the same message gets the same one again.
type Result uint8

// The results.
const (
	ResultOK           Result = 0 // done; answers a check-in when there is nothing to do
	ResultCanceled     Result = 1 // stop, and go back
	ResultNotFound     Result = 2 // there is no such assignment
	ResultEnded        Result = 3 // the assignment came to another end
	ResultUnauthorized Result = 4 // the device is not accepted any more
	ResultTooLarge     Result = 5
	ResultRefused      Result = 6 // not understood, or not allowed; do not repeat
	ResultBusy         Result = 7 // repeat it after Wait
)

var results = map[Result]error{
	ResultCanceled: fleet.ErrCanceled, ResultNotFound: fleet.ErrNotFound, ResultEnded: deployment.ErrEnded,
	ResultUnauthorized: fleet.ErrUnauthorized, ResultTooLarge: fleet.ErrTooLarge, ResultRefused: ErrMessage,
	ResultBusy: fleet.ErrBusy,
}

// Err is the result as an error of the fleet; nil for ResultOK.
func (r Result) Err() error { return results[r] }

// ResultOf puts an answer of the fleet into the words of the wire. An error
// that has no word is ResultBusy: what was not done may be done later.
func ResultOf(err error) Result {
	switch {
	case err == nil:
		return ResultOK
	case errors.Is(err, deployment.ErrState), errors.Is(err, ErrKind):
		return ResultRefused
	case errors.Is(err, fleet.ErrPending), errors.Is(err, fleet.ErrRejected):
		return ResultUnauthorized
	}
	for r := ResultCanceled; r < ResultRefused; r++ { // in order: a later one may wrap an earlier one
		if errors.Is(err, results[r]) {
			return r
		}
	}
	if errors.Is(err, ErrMessage) {
		return ResultRefused
	}
	return ResultBusy
}

// An Ack answers a message. Of the messages of a device it answers each; of
// those of the server, assignments, cancels and keys.
type Ack struct {
	Of     Kind   `cbor:"1,keyasint"`
	Number uint64 `cbor:"2,keyasint"`
	Result Result `cbor:"3,keyasint"`
	Wait   uint32 `cbor:"4,keyasint,omitempty"` // seconds, with ResultBusy
}

// Append appends the message to dst.
func (a Ack) Append(dst []byte) ([]byte, error) { return encode(dst, a) }

func (Ack) kind() Kind { return KindAck }
func (Ack) limit() int { return maxAck }

func (a Ack) check() error {
	switch a.Of {
	case KindCheckIn, KindAssignment, KindProgress, KindCancel, KindDescribe, KindLog, KindKeys:
	default:
		return fmt.Errorf("ack of %s", a.Of)
	}
	if a.Result > ResultBusy {
		return fmt.Errorf("result %d is not known", a.Result)
	}
	if a.Wait > MaxWait || a.Wait > 0 && a.Result != ResultBusy {
		return fmt.Errorf("wait of %d s with result %d", a.Wait, a.Result)
	}
	return checkNumber(a.Number)
}

// Time tells a device the server's clock. It is not acknowledged.
type Time struct {
	Seconds uint64 `cbor:"1,keyasint"` // since 1970
}

// Time is the server's clock.
func (t Time) Time() time.Time { return time.Unix(int64(t.Seconds), 0).UTC() }

// Append appends the message to dst.
func (t Time) Append(dst []byte) ([]byte, error) { return encode(dst, t) }

func (Time) kind() Kind     { return KindTime }
func (Time) limit() int     { return maxTime }
func (t Time) check() error { return checkTime(t.Seconds) }
