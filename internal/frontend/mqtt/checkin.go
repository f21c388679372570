package mqtt

import (
	"context"
	"errors"

	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/wire/object"
	"github.com/moult-ota/moult/internal/wire/securemsg"
)

// checkIn answers a check-in: an assignment, or that there is nothing to do.
func (k *desk) checkIn(ctx context.Context, s *seat, n uint64) securemsg.Message {
	a, err := k.Core.CheckIn(ctx, s.member.Device, *s.report)
	if err != nil || a.Deployment == "" {
		k.idle(s, err)
		return k.ack(s, securemsg.KindCheckIn, n, err)
	}
	m, err := k.assignment(ctx, s, a)
	if err != nil {
		return k.ack(s, securemsg.KindCheckIn, n, err)
	}
	m.Answers = n
	return m
}

// idle notes that the device has nothing to do.
func (k *desk) idle(s *seat, err error) {
	s.wants = ""
	if err == nil {
		s.work = ""
		k.crowd.leave(s.id)
	}
}

// assignment puts an assignment into words for this device. While its object
// is being made it is fleet.ErrBusy, and comes by itself when that is done.
func (k *desk) assignment(ctx context.Context, s *seat, a fleet.Assignment) (securemsg.Assignment, error) {
	spec, key, err := k.Objects.Object(a.Artifact.SHA256)
	if errors.Is(err, ErrNotMade) {
		s.wants = a.Artifact.SHA256
		k.works.order(job{s.member.Device, a.Deployment, a.Artifact})
		return securemsg.Assignment{}, fleet.ErrBusy
	}
	if err != nil {
		return securemsg.Assignment{}, err
	}
	art, err := securemsg.NewArtifact(a.Artifact)
	if err != nil {
		return securemsg.Assignment{}, err
	}
	number, err := k.Members.Number(ctx)
	if err != nil {
		return securemsg.Assignment{}, err
	}
	s.work, s.order, s.wants = a.Deployment, number, ""
	k.crowd.join(s.id, spec.OID(), k.Now())
	return securemsg.Assignment{
		Number: number, Device: s.id, Expires: uint64(k.Now().Add(k.Expires).Unix()), Deployment: a.Deployment, Artifact: art,
		Object: securemsg.Object{Root: spec.Root, Nonce0: spec.Nonce0, Chunk: spec.Chunk, Check: spec.Check, Key: key},
	}, nil
}

// look asks for a device that did not ask: it is told what changed.
func (k *desk) look(ctx context.Context, s *seat) {
	if s.report == nil || s.peer.Session() == nil {
		return
	}
	a, err := k.Core.CheckIn(ctx, s.member.Device, *s.report)
	switch {
	case errors.Is(err, fleet.ErrUnauthorized):
		k.clear(s)
	case err != nil:
		k.Logger.Warn("look for what changed", "device", s.member.Device, "error", err)
	case a.Deployment != "" && a.Deployment != s.work:
		if m, err := k.assignment(ctx, s, a); err == nil {
			k.push(ctx, s, m.Number, m)
		}
	case a.Deployment == "" && s.work != "":
		k.cancel(ctx, s)
	}
}

// cancel tells a device that what it works on is off.
func (k *desk) cancel(ctx context.Context, s *seat) {
	work, order := s.work, s.order
	s.work = ""
	k.crowd.leave(s.id)
	k.push(ctx, s, order, securemsg.Cancel{Number: order, Deployment: work})
}

// ErrNotMade is returned for an artifact whose object is not made yet.
var ErrNotMade = errors.New("object is not made yet")

// Objects make objects from artifacts, keep them, and read them.
type Objects interface {
	// Object returns the object of an artifact by its SHA-256 in hex, or
	// ErrNotMade.
	Object(artifact string) (object.Spec, object.Key, error)
	// Make makes it from the artifact's bytes.
	Make(ctx context.Context, artifact string, content fleet.Content) error
	// Open opens an object; whoever has no key may read it.
	Open(ctx context.Context, oid object.OID) (Pieces, error)
}

// Pieces is one open object. Answer may be called from several goroutines.
type Pieces interface {
	Spec() object.Spec
	// Answer calls send with a message for each piece that is asked for; the
	// message is send's until it returns.
	Answer(q object.Request, send func(message []byte) error) error
	Close() error
}
