package mqtt

import (
	"context"
	"errors"
	"time"

	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/session"
	"github.com/moult-ota/moult/internal/wire/securemsg"
	"github.com/moult-ota/moult/internal/wire/topic"
)

// Bounds of a desk.
const (
	deskQueue  = 1024             // messages that wait
	hintEvery  = 10 * time.Second // hints to one device
	forgetIdle = 50 * time.Hour   // longer than any session lasts
	sweepEvery = time.Minute
	tickEvery  = time.Second
	maxAway    = 4096 // strangers that are remembered for a sweep
)

// A desk serves some of the devices, one thing after another, so that what
// belongs to one device needs no lock.
type desk struct {
	*Door
	in     chan func(context.Context)
	seats  map[securemsg.DeviceID]*seat
	of     map[device.ID]securemsg.DeviceID
	hinted map[securemsg.DeviceID]time.Time // until the next sweep
	away   map[securemsg.DeviceID]bool      // not members, until the next sweep
	asked  map[securemsg.DeviceID]int       // enrolments, until the next sweep
}

func newDesk(d *Door) *desk {
	k := &desk{Door: d, in: make(chan func(context.Context), deskQueue),
		seats: map[securemsg.DeviceID]*seat{}, of: map[device.ID]securemsg.DeviceID{}}
	k.forgetStrangers()
	return k
}

func (k *desk) forgetStrangers() {
	k.hinted, k.away, k.asked = map[securemsg.DeviceID]time.Time{}, map[securemsg.DeviceID]bool{}, map[securemsg.DeviceID]int{}
}

func (k *desk) run(ctx context.Context) {
	tick, sweep := time.NewTicker(tickEvery), time.NewTicker(sweepEvery)
	defer tick.Stop()
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case do := <-k.in:
			do(ctx)
		case <-tick.C:
			k.repeat(ctx)
		case <-sweep.C:
			k.sweep()
		}
	}
}

// sweep forgets devices that were not heard for longer than a session lasts,
// and whom strangers said to be.
func (k *desk) sweep() {
	for _, s := range k.seats {
		if k.Now().Sub(s.heard) > forgetIdle {
			k.clear(s)
		}
	}
	k.forgetStrangers()
}

// clear forgets a device; it will shake hands again.
func (k *desk) clear(s *seat) {
	k.crowd.leave(s.id)
	delete(k.seats, s.id)
	delete(k.of, s.member.Device)
}

// frame takes one frame that somebody published as this device.
func (k *desk) frame(ctx context.Context, id securemsg.DeviceID, frame []byte, of share) {
	f, err := securemsg.ParseFrame(frame)
	if err != nil {
		return
	}
	here := k.seats[id] != nil && k.seats[id].peer.Has(f.Session)
	switch {
	case f.Type == securemsg.HS1 && of != sessions:
		k.shake(ctx, id, frame)
	case f.Type == securemsg.Data && (of == everything || of == sessions && here):
		k.data(ctx, id, f, frame)
	case f.Type == securemsg.Data && of == strays && !here:
		k.hint(ctx, id, f)
	}
}

// shake answers a handshake of a member.
func (k *desk) shake(ctx context.Context, id securemsg.DeviceID, frame []byte) {
	s, err := k.seat(ctx, id)
	if err != nil {
		k.Logger.Debug("handshake refused", "device", id, "error", err)
		return
	}
	answer, err := s.peer.Handshake(frame, k.Now(), k.Random)
	if err != nil {
		k.Logger.Debug("handshake refused", "device", id, "error", err)
		return
	}
	k.publish(ctx, topic.Down(id.String()), answer)
}

// seat returns what is known of a member.
func (k *desk) seat(ctx context.Context, id securemsg.DeviceID) (*seat, error) {
	if s := k.seats[id]; s != nil {
		return s, nil
	}
	if k.away[id] || len(k.seats) >= k.Seats/len(k.desks) {
		return nil, session.ErrUnknown
	}
	m, err := k.Members.Member(ctx, id.String())
	if errors.Is(err, fleet.ErrUnauthorized) {
		if len(k.away) < maxAway {
			k.away[id] = true
		}
	}
	if err != nil {
		return nil, err
	}
	p, err := k.responder.Peer(session.Registered{ID: id, Suite: securemsg.Suite(m.Suite), Key: m.Session})
	if err != nil {
		return nil, err
	}
	s := &seat{id: id, member: m, peer: p, heard: k.Now()}
	k.seats[id], k.of[m.Device] = s, id
	return s, nil
}

// data takes a message of a session.
func (k *desk) data(ctx context.Context, id securemsg.DeviceID, f securemsg.Frame, frame []byte) {
	s := k.seats[id]
	if s == nil {
		k.hint(ctx, id, f)
		return
	}
	was := s.peer.Session()
	message, err := s.peer.Open(frame, k.Now())
	switch {
	case errors.Is(err, session.ErrDuplicate):
		k.again(ctx, s, message)
		return
	case errors.Is(err, session.ErrSession), errors.Is(err, session.ErrOver):
		k.hint(ctx, id, f)
		return
	case err != nil:
		k.Logger.Debug("message refused", "device", id, "error", err)
		return
	}
	s.heard = k.Now()
	if s.peer.Session() != was {
		k.begun(ctx, s)
	}
	if s.peer.Session().RekeyWanted(k.Now()) {
		k.hint(ctx, id, f)
	}
	k.message(ctx, s, message)
}

// begun is for what comes with a new session.
func (k *desk) begun(ctx context.Context, s *seat) {
	hello := s.peer.Hello()
	if hello.Boot < s.boot {
		k.Logger.Warn("a device has started less often than before: is there a copy of it?", "device", s.member.Device, "member", s.id, "starts", hello.Boot, "before", s.boot)
	}
	s.boot = max(s.boot, hello.Boot)
	if k.rotating {
		if number, err := k.Members.Number(ctx); err == nil {
			k.push(ctx, s, number, securemsg.Keys{Number: number, Keys: k.responder.Public()})
		}
	}
}

// hint asks for a handshake. Nothing authenticates it, so it names the
// session that the device speaks in, and comes rarely.
func (k *desk) hint(ctx context.Context, id securemsg.DeviceID, f securemsg.Frame) {
	now := k.Now()
	if last, ok := k.hinted[id]; ok && now.Sub(last) < hintEvery || len(k.hinted) >= maxAway {
		return
	}
	k.hinted[id] = now
	frame, err := securemsg.AppendFrame(nil, securemsg.Frame{Type: securemsg.Hint, Suite: securemsg.NoSuite, Session: f.Session})
	if err != nil {
		k.Logger.Error("hint", "error", err)
		return
	}
	k.publish(ctx, topic.Down(id.String()), frame)
}
