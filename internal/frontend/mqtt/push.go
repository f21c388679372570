package mqtt

import (
	"context"
	"time"

	"github.com/moult-ota/moult/internal/wire/securemsg"
)

// A call is a message to a device that did not ask; it is repeated until it
// is acknowledged, or given up: the device's next check-in says the same.
type call struct {
	message []byte
	next    time.Time
	tries   int
}

// callWaits are the waits between repetitions.
var callWaits = []time.Duration{2 * time.Second, 8 * time.Second, 30 * time.Second}

// maxCalls bounds the calls to one device that wait.
const maxCalls = 8

// push calls a device.
func (k *desk) push(ctx context.Context, s *seat, number uint64, m securemsg.Message) {
	text, err := m.Append(nil)
	if err != nil {
		k.Logger.Error("call device", "device", s.member.Device, "error", err)
		return
	}
	if s.calls == nil || len(s.calls) >= maxCalls {
		s.calls = map[uint64]*call{}
	}
	s.calls[number] = &call{text, k.Now().Add(callWaits[0]), 1}
	k.send(ctx, s, text)
}

// repeat calls again whoever did not answer.
func (k *desk) repeat(ctx context.Context) {
	now := k.Now()
	for _, s := range k.seats {
		for number, c := range s.calls {
			switch {
			case now.Before(c.next):
			case c.tries >= len(callWaits):
				delete(s.calls, number)
			default:
				c.next = now.Add(callWaits[c.tries])
				c.tries++
				k.send(ctx, s, c.message)
			}
		}
	}
}
