package securemsg

import "fmt"

const maxAnswer = 512 // bytes

// Standing is the answer to a request.
type Standing uint8

// The standings.
const (
	StandingPending  Standing = 1 // ask again later
	StandingAccepted Standing = 2
	StandingRejected Standing = 3
)

// An Answer to an enrolment request. Nothing authenticates it, the broker can
// change it: a device that has pins keeps to them (see Pinned), another one
// trusts the keys of the first answer that accepts it, and no later ones.
type Answer struct {
	Nonce    Nonce       `cbor:"1,keyasint"` // of the request
	Standing Standing    `cbor:"2,keyasint"`
	Keys     []ServerKey `cbor:"3,keyasint,omitempty"` // newest first; only with StandingAccepted
	Wait     uint32      `cbor:"4,keyasint,omitempty"` // seconds before the next request; only with StandingPending
}

// AppendAnswer appends a to dst.
func AppendAnswer(dst []byte, a Answer) ([]byte, error) { return encode(dst, a) }

// ParseAnswer reads what AppendAnswer wrote.
func ParseAnswer(src []byte) (Answer, error) { return decode[Answer](src) }

func (Answer) kind() Kind { return KindAnswer }
func (Answer) limit() int { return maxAnswer }

func (a Answer) check() error {
	switch n := len(a.Keys); {
	case a.Standing < StandingPending || a.Standing > StandingRejected:
		return fmt.Errorf("standing %d is not known", a.Standing)
	case a.Standing != StandingAccepted && n > 0:
		return fmt.Errorf("%d keys for a device that is not accepted", n)
	case a.Wait > MaxWait || a.Wait > 0 && a.Standing != StandingPending:
		return fmt.Errorf("wait of %d s with standing %d", a.Wait, a.Standing)
	}
	if a.Standing != StandingAccepted {
		return nil
	}
	return checkKeys(a.Keys)
}
