package securemsg

import (
	"fmt"
)

// A Message is what one DATA frame carries. Which kinds a device may send and
// which a server may is fixed: ParseUp and ParseDown refuse the others.
type Message interface {
	payload
	// Append appends the message to dst.
	Append(dst []byte) ([]byte, error)
}

// ParseUp reads a message of a device: CheckIn, Progress, Describe, Log, Ack.
func ParseUp(src []byte) (Message, error) {
	switch kindOf(src) {
	case KindCheckIn:
		return as(decode[CheckIn](src))
	case KindProgress:
		return as(decode[Progress](src))
	case KindDescribe:
		return as(decode[Describe](src))
	case KindLog:
		return as(decode[Log](src))
	case KindAck:
		return as(decode[Ack](src))
	}
	return nil, fmt.Errorf("parse message of a device: %w: %s", ErrKind, kindOf(src))
}

// ParseDown reads a message of the server: Assignment, Cancel, Time, Keys,
// Ack.
func ParseDown(src []byte) (Message, error) {
	switch kindOf(src) {
	case KindAssignment:
		return as(decode[Assignment](src))
	case KindCancel:
		return as(decode[Cancel](src))
	case KindTime:
		return as(decode[Time](src))
	case KindKeys:
		return as(decode[Keys](src))
	case KindAck:
		return as(decode[Ack](src))
	}
	return nil, fmt.Errorf("parse message of the server: %w: %s", ErrKind, kindOf(src))
}

func kindOf(src []byte) Kind {
	if len(src) == 0 {
		return 0
	}
	return Kind(src[0])
}

// as keeps the zero value of a message that was refused out of sight.
func as[M Message](m M, err error) (Message, error) {
	if err != nil {
		return nil, err
	}
	return m, nil
}
