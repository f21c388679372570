package mqtt

import (
	"context"
	"errors"
	"time"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/inventory"
	"github.com/moult-ota/moult/internal/session"
	"github.com/moult-ota/moult/internal/wire/securemsg"
	"github.com/moult-ota/moult/internal/wire/topic"
)

// A seat is one device at its desk. Losing it costs the device a handshake.
type seat struct {
	id     securemsg.DeviceID
	member fleet.Member
	peer   *session.Peer
	boot   uint64 // the most starts that it told of
	heard  time.Time
	out    bool // accepted no more: it is told so, and nothing else

	number uint64 // of the message that was answered last
	answer []byte // to it

	report *fleet.Report // of its last check-in; nil: none that still holds
	work   deployment.ID // what it was told to do; empty: nothing
	order  uint64        // the number of that assignment
	wants  string        // SHA-256 of an artifact whose object is being made
	calls  map[uint64]*call
	log    pieces
}

// message does what an authentic message asks, once, and answers it.
func (k *desk) message(ctx context.Context, s *seat, text []byte) {
	m, err := securemsg.ParseUp(text)
	if err != nil {
		k.Logger.Info("message not understood", "device", s.member.Device, "error", err)
		return
	}
	if ack, ok := m.(securemsg.Ack); ok {
		delete(s.calls, ack.Number)
		return
	}
	n, _ := about(m)
	if n < s.number {
		return // late: the device has its answer, or asks again
	}
	if n == s.number && s.answer != nil {
		k.send(ctx, s, s.answer)
		return
	}
	said := k.answer(ctx, s, m)
	answer, err := said.Append(nil)
	if err != nil {
		k.Logger.Error("answer device", "device", s.member.Device, "error", err)
		return
	}
	s.number, s.answer = n, answer
	k.send(ctx, s, answer)
	if a, ok := said.(securemsg.Ack); ok && a.Result == securemsg.ResultBusy {
		s.answer = nil // the same question may have another answer later
	}
}

// again answers a doubled message as before, and does nothing else.
func (k *desk) again(ctx context.Context, s *seat, text []byte) {
	m, err := securemsg.ParseUp(text)
	if err != nil {
		return
	}
	if n, _ := about(m); n == s.number && s.answer != nil {
		k.send(ctx, s, s.answer)
	}
}

// about is a message's number and kind.
func about(m securemsg.Message) (uint64, securemsg.Kind) {
	switch m := m.(type) {
	case securemsg.CheckIn:
		return m.Number, securemsg.KindCheckIn
	case securemsg.Progress:
		return m.Number, securemsg.KindProgress
	case securemsg.Describe:
		return m.Number, securemsg.KindDescribe
	case securemsg.Log:
		return m.Number, securemsg.KindLog
	}
	return 0, 0
}

// answer asks the fleet.
func (k *desk) answer(ctx context.Context, s *seat, m securemsg.Message) securemsg.Message {
	n, kind := about(m)
	if s.out {
		return k.ack(s, kind, n, fleet.ErrUnauthorized)
	}
	id, err := s.member.Device, error(nil)
	switch m := m.(type) {
	case securemsg.CheckIn:
		report := m.Report()
		s.report = &report
		return k.checkIn(ctx, s, n)
	case securemsg.Progress:
		err = k.Core.Progress(ctx, id, m.Fleet())
		k.progressed(s, m, err)
		if err == nil && m.State.Final() {
			k.metered(ctx, s, m)
		}
	case securemsg.Describe:
		err = k.Core.Describe(ctx, id, m.Attributes, m.Replace)
	case securemsg.Log:
		err = k.takeLog(ctx, s, m)
	}
	return k.ack(s, kind, n, err)
}

// busyWait is what a device that asked too early waits, in seconds.
const busyWait = 2

// ack answers with how a message fared. An answer that may be another one
// later is not kept.
func (k *desk) ack(s *seat, of securemsg.Kind, n uint64, err error) securemsg.Message {
	a := securemsg.Ack{Of: of, Number: n, Result: securemsg.ResultOf(err)}
	if a.Result == securemsg.ResultBusy {
		a.Wait = busyWait
		if !errors.Is(err, fleet.ErrBusy) {
			k.Logger.Error("serve device", "device", s.member.Device, "message", of, "error", err)
		}
	}
	return a
}

// progressed notes what a report says of the object that the device waits for.
func (k *desk) progressed(s *seat, p securemsg.Progress, err error) {
	if p.State != deployment.Downloading || err != nil {
		k.crowd.leave(s.id)
	}
	if p.State.Final() {
		s.report = nil // what it said of itself before is not true any more
	}
	if p.Deployment == s.work && (p.State.Final() || errors.Is(err, fleet.ErrCanceled) || errors.Is(err, fleet.ErrNotFound)) {
		s.work = ""
	}
}

// metered stores what an update cost on the device's line; when that fails,
// the next inventory says it.
func (k *desk) metered(ctx context.Context, s *seat, p securemsg.Progress) {
	if p.Sent+p.Received == 0 {
		return
	}
	a := inventory.Attributes{"mqtt_bytes_sent": float64(p.Sent), "mqtt_bytes_received": float64(p.Received)}
	if err := k.Core.Describe(ctx, s.member.Device, a, false); err != nil {
		k.Logger.Warn("store traffic", "device", s.member.Device, "error", err)
	}
}

// send seals a message and publishes it.
func (k *desk) send(ctx context.Context, s *seat, message []byte) {
	current := s.peer.Session()
	if current == nil {
		return
	}
	frame, err := current.Seal(nil, message, k.Now())
	if err != nil {
		k.Logger.Debug("seal", "device", s.member.Device, "error", err)
		return
	}
	k.publish(ctx, topic.Down(s.id.String()), frame)
}
