package mqtt

import (
	"context"
	"errors"

	"github.com/moult-ota/moult/internal/broker"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/wire/securemsg"
	"github.com/moult-ota/moult/internal/wire/topic"
)

// Bounds of enrolment: a signature is dear.
const (
	maxEnrolments = 20 // of one device between two sweeps
	pendingWait   = 15 // seconds
)

// enrol answers a request to be let in. What is not understood, or not signed
// by the key that it names, gets no answer.
func (k *desk) enrol(ctx context.Context, id securemsg.DeviceID, frame []byte) {
	if k.asked[id] >= maxEnrolments || len(k.asked) >= maxAway {
		return
	}
	k.asked[id]++
	f, err := securemsg.ParseFrame(frame)
	if err != nil || f.Type != securemsg.Enrol {
		return
	}
	r, err := securemsg.ParseRequest(f.Body)
	if err != nil || r.Device() != id {
		k.Logger.Debug("enrolment refused", "device", id, "error", err)
		return
	}
	a, err := k.admit(ctx, r)
	if err != nil {
		k.Logger.Warn("enrolment", "device", id, "error", err)
		return
	}
	k.reply(ctx, id, a)
}

// admit asks the fleet, and remembers the session key of whom it accepts.
func (k *desk) admit(ctx context.Context, r securemsg.Request) (securemsg.Answer, error) {
	answer := securemsg.Answer{Nonce: r.Nonce}
	c, err := k.responder.Credential(r)
	if err != nil {
		return answer, err
	}
	id, err := k.Core.Enroll(ctx, c)
	switch {
	case errors.Is(err, fleet.ErrPending):
		answer.Standing, answer.Wait = securemsg.StandingPending, pendingWait
		return answer, nil
	case errors.Is(err, fleet.ErrRejected):
		answer.Standing = securemsg.StandingRejected
		return answer, nil
	case err != nil:
		return answer, err
	}
	m := fleet.Member{ID: r.Device().String(), Device: id, Key: c.Key, Suite: uint8(r.Suite), Session: r.Session, Counter: r.Counter}
	_, err = k.Members.Member(ctx, m.ID)
	known := err == nil
	if err := k.Members.Enlist(ctx, m); err != nil {
		return answer, err
	}
	k.arrived(r)
	if gateways, ok := k.Broker.(broker.Regrouper); ok && !known {
		if m, err := k.Members.Member(ctx, m.ID); err == nil && m.Gateway != "" {
			gateways.Regroup(m.Gateway)
		}
	}
	answer.Standing, answer.Keys = securemsg.StandingAccepted, k.responder.Public()
	return answer, nil
}

// arrived drops what was known of a device that came with another session key.
func (k *desk) arrived(r securemsg.Request) {
	delete(k.away, r.Device())
	if s := k.seats[r.Device()]; s != nil && string(s.member.Session) != string(r.Session) {
		k.clear(s)
	}
}

func (k *desk) reply(ctx context.Context, id securemsg.DeviceID, a securemsg.Answer) {
	body, err := securemsg.AppendAnswer(nil, a)
	if err == nil {
		body, err = securemsg.AppendFrame(nil, securemsg.Frame{Type: securemsg.Enrol, Body: body})
	}
	if err != nil {
		k.Logger.Error("answer enrolment", "device", id, "error", err)
		return
	}
	k.publish(ctx, topic.EnrollDown(id.String()), body)
}
