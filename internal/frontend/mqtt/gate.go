package mqtt

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/moult-ota/moult/internal/broker"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/wire/mqttlogin"
	"github.com/moult-ota/moult/internal/wire/securemsg"
	"github.com/moult-ota/moult/internal/wire/topic"
)

// A Gate says who may connect to a broker, and as what.
type Gate struct {
	Members fleet.Members
	Now     func() time.Time // nil means time.Now
}

// Login is a broker.Authenticate. A member shows a token that its identity
// key signed; who is none may do nothing but ask to become one.
func (g Gate) Login(ctx context.Context, l broker.Login) (topic.Role, error) {
	id, err := securemsg.ParseDeviceID(l.ClientID)
	if err != nil || l.Username != l.ClientID {
		return topic.None, fmt.Errorf("log in: client id %.40q is no device's, or not the user", l.ClientID)
	}
	m, err := g.Members.Member(ctx, id.String())
	if errors.Is(err, fleet.ErrUnauthorized) {
		return topic.Enrolling, nil
	}
	if err != nil {
		return topic.None, err
	}
	block, _ := pem.Decode([]byte(m.Key))
	if block == nil {
		return topic.None, fmt.Errorf("log in %s: its key is no PEM", id)
	}
	key, err := securemsg.ParseIdentityKey(block.Bytes)
	if err != nil {
		return topic.None, fmt.Errorf("log in %s: %w", id, err)
	}
	now := time.Now
	if g.Now != nil {
		now = g.Now
	}
	if err := mqttlogin.Verify(l.Password, key, id.String(), now()); err != nil {
		return topic.None, fmt.Errorf("log in %s: %w", id, err)
	}
	if m.Serves {
		return topic.Gateway, nil
	}
	return topic.Device, nil
}
