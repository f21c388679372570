package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/store"
)

var _ fleet.Members = (*Control)(nil)

// idSize is how much of the fingerprint of its key is a member's name.
const idSize = 32

// Enlist implements fleet.Members. What the device's identity says of
// gateways counts, as the device signed it: gateway names the one in front
// of it, and role "gateway" makes it one.
func (c *Control) Enlist(ctx context.Context, m fleet.Member) error {
	key, err := parseKey(m.Key)
	if err != nil {
		return err
	}
	if m.ID != key.Fingerprint[:idSize] || m.Counter > math.MaxInt64 {
		return fmt.Errorf("%w member %.40q: not the name of its key, or counter %d", ErrInvalid, m.ID, m.Counter)
	}
	return c.update(ctx, func(ch *change) error { return ch.enlist(m, key.Fingerprint) })
}

func (ch *change) enlist(m fleet.Member, fingerprint string) error {
	d, err := ch.Device(m.Device)
	if err != nil {
		return unauthorized(err)
	}
	keys, err := ch.Keys(d.ID)
	if err != nil {
		return err
	}
	if d.Status != device.Accepted || !slices.ContainsFunc(keys, func(k device.Key) bool {
		return k.Fingerprint == fingerprint && k.Status == device.Accepted
	}) {
		return fleet.ErrUnauthorized
	}
	known, err := ch.SessionKey(m.ID)
	switch {
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return err
	case err == nil && bytes.Equal(known.Session, m.Session):
		m.Counter = max(m.Counter, known.Counter)
	case err == nil && m.Counter <= known.Counter:
		return fmt.Errorf("request %d of member %s: %w", m.Counter, m.ID, fleet.ErrStale)
	}
	m.Gateway, m.Serves = gatewayOf(d.Identity)
	return ch.PutMember(m, fingerprint, ch.at)
}

// gatewayOf is what an identity says of gateways.
func gatewayOf(i device.Identity) (gateway string, serves bool) {
	var said struct {
		Gateway any `json:"gateway"`
		Role    any `json:"role"`
	}
	if json.Unmarshal([]byte(i), &said) != nil {
		return "", false
	}
	gateway, _ = said.Gateway.(string)
	return gateway, said.Role == "gateway"
}

// parent finds the gateway that an identity names: by the name that it goes
// by itself (gateway_id), or by its name on the wire. None is no error: it may
// join later.
func (ch *change) parent(i device.Identity) (device.ID, error) {
	gateway, _ := gatewayOf(i)
	if gateway == "" {
		return "", nil
	}
	text, err := json.Marshal(map[string]string{"gateway_id": gateway, "role": "gateway"})
	if err != nil {
		return "", err
	}
	d, err := ch.DeviceByIdentity(device.Identity(text))
	if err == nil || !errors.Is(err, store.ErrNotFound) {
		return d.ID, err
	}
	m, err := ch.Reader.Member(gateway)
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	return m.Device, err
}

// findParent notes the gateway of a device that came before it.
func (ch *change) findParent(id device.ID) error {
	was, err := ch.Device(id)
	if err != nil || was.Parent != "" {
		return err
	}
	d := was
	if d.Parent, err = ch.parent(d.Identity); err != nil || d.Parent == "" {
		return err
	}
	return ch.UpdateDevice(was, d)
}

// Member implements fleet.Members.
func (c *Control) Member(ctx context.Context, id string) (fleet.Member, error) {
	m, err := c.DB.Read(ctx).Member(id)
	if errors.Is(err, store.ErrNotFound) {
		return m, fleet.ErrUnauthorized
	}
	return m, wrap("look up member", err)
}

// Children implements fleet.Members.
func (c *Control) Children(ctx context.Context, gateway string) ([]string, error) {
	ids, err := c.DB.Read(ctx).Children(gateway, fleet.MaxChildren)
	return ids, wrap("look up children", err)
}

// Number implements fleet.Members.
func (c *Control) Number(ctx context.Context) (n uint64, err error) {
	err = c.DB.Update(ctx, func(tx *store.Tx) error {
		n = uint64(tx.Next())
		return nil
	})
	return n, wrap("count up", err)
}
