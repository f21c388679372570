// Package broker is the narrow seam to a message broker: publish, subscribe,
// who is connected. It trusts no broker with anything but availability; what
// must be secret or true is so before it comes here (wire/securemsg, wire/object).
//
// Its promise is a small one, the one that every broker can keep: a message may
// be lost, doubled, reordered or come late. Who needs more repeats.
package broker

import (
	"context"
	"errors"
	"net"

	"github.com/moult-ota/moult/internal/wire/topic"
)

// A Broker carries messages between the server and everything else.
type Broker interface {
	// Publish sends a message to whoever subscribes now; retained, also to
	// whoever subscribes some time later, until the next one. It returns when the
	// message is on its way, not when it arrived.
	Publish(ctx context.Context, topic string, payload []byte, retain bool) error
	// Subscribe calls f for messages whose topic filter covers, until stop or
	// Close. Of all subscribers of one group, "" for none, one gets each
	// message. f is called by one goroutine at a time and may keep payload.
	Subscribe(filter, group string, f func(topic string, payload []byte)) (stop func(), err error)
	// Close lets go of the broker. It may be called again.
	Close() error
}

// A Presence is a Broker that knows who is connected to it.
type Presence interface {
	// Connected calls f for every client that is connected, and until stop for
	// every one that comes (here) or goes. f must not block.
	Connected(f func(id string, here bool)) (stop func())
}

// A Regrouper is a Broker that knows which devices stand behind a gateway.
type Regrouper interface {
	// Regroup looks again who is behind a gateway, soon.
	Regroup(gateway string)
}

// MaxPayload is the largest message, in bytes, and what comes beside it.
const (
	MaxPayload = 64 << 10
	MaxPacket  = MaxPayload + 1<<10
)

// Errors for callers that branch.
var (
	ErrClosed   = errors.New("broker is closed")
	ErrTooLarge = errors.New("message is too large")
)

// A Login is what a client shows when it connects.
type Login struct {
	ClientID string
	Username string
	Password string
	Address  net.Addr
}

// An Authenticate says what a client is. An error refuses it; what the client
// learns of it is that it was refused.
type Authenticate func(ctx context.Context, l Login) (topic.Role, error)
