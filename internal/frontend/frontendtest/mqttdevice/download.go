package mqttdevice

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/frontend/frontendtest"
	"github.com/moult-ota/moult/internal/wire/object"
	"github.com/moult-ota/moult/internal/wire/securemsg"
	"github.com/moult-ota/moult/internal/wire/topic"
)

// Download implements frontendtest.Device.
func (d *Device) Download(ctx context.Context, o frontendtest.Offer, offset int64) ([]byte, error) {
	d.mu.Lock()
	a, known := d.told[deployment.ID(o.Ref)]
	off := d.canceled[a.Deployment]
	d.mu.Unlock()
	switch {
	case !known:
		return nil, fleet.ErrNotFound
	case off:
		return nil, fleet.ErrCanceled
	}
	if err := a.For(d.id, a.Number, a.Deployment, d.now()); errors.Is(err, securemsg.ErrExpired) {
		return nil, fmt.Errorf("%w: %w", fleet.ErrUnauthorized, err)
	}
	b := a.Object
	spec := object.Spec{Root: b.Root, Nonce0: b.Nonce0, Chunk: b.Chunk, Size: a.Artifact.Size, Check: b.Check}
	key := object.Key(b.Key)
	file := make(memory, a.Artifact.Size)
	v, err := object.NewVerifier(spec, file, object.Options{Key: &key})
	if err != nil {
		return nil, err
	}
	if offset > a.Artifact.Size {
		return nil, fmt.Errorf("download from %d of %d bytes", offset, a.Artifact.Size)
	}
	return file[offset:], d.fetch(ctx, spec.OID(), v)
}

// fetch asks for pieces until all are there.
func (d *Device) fetch(ctx context.Context, oid object.OID, v *object.Verifier) error {
	if err := done(d.client.Subscribe(topic.Carousel(oid.String()), 0, d.hear)); err != nil {
		return err
	}
	defer d.client.Unsubscribe(topic.Carousel(oid.String()))
	for v.Missing() > 0 {
		asked := v.Ask(object.Window{})
		for _, r := range asked {
			text, err := object.AppendRequest(nil, r)
			if err != nil {
				return err
			}
			if err := done(d.client.Publish(topic.Get(oid.String(), d.ID()), 0, false, text)); err != nil {
				return err
			}
		}
		err := d.wait(ctx, time.Second, func(m message) bool {
			if m.topic == topic.Down(d.ID()) {
				d.open(m)
				return false
			}
			count(d.Alone, m, topic.Got(d.ID()))
			count(d.Carousel, m, topic.Carousel(oid.String()))
			return v.Take(m.payload) == nil
		})
		if err == nil {
			continue
		}
		for _, r := range asked {
			if err := v.Late(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// memory is an io.WriterAt of a fixed size.
type memory []byte

func (m memory) WriteAt(p []byte, at int64) (int, error) { return copy(m[at:], p), nil }

func count(n *atomic.Int64, m message, of string) {
	if n != nil && m.topic == of {
		n.Add(int64(len(m.payload)))
	}
}
