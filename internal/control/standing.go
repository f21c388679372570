package control

import (
	"context"
	"fmt"
	"strconv"

	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/store"
)

// accept makes one key the accepted one, and any other that was rejected.
func (ch *change) accept(d store.Device, keys []device.Key, fingerprint string) error {
	for i := range keys {
		switch {
		case keys[i].Fingerprint == fingerprint:
			keys[i].Status = device.Accepted
		case keys[i].Status == device.Accepted:
			keys[i].Status = device.Rejected
		default:
			continue
		}
		if err := ch.PutKey(d.ID, keys[i]); err != nil {
			return err
		}
	}
	return ch.settle(d, keys)
}

// reject turns one key away, or all of them when fingerprint is empty.
func (ch *change) reject(d store.Device, keys []device.Key, fingerprint string) error {
	for i := range keys {
		if fingerprint != "" && keys[i].Fingerprint != fingerprint {
			continue
		}
		keys[i].Status = device.Rejected
		if err := ch.PutKey(d.ID, keys[i]); err != nil {
			return err
		}
	}
	return ch.settle(d, keys)
}

// settle gives the device the best standing that one of its keys has. Its
// version grows in any case, as its keys may have changed.
func (ch *change) settle(d store.Device, keys []device.Key) error {
	return ch.setStatus(d, best(keys))
}

func best(keys []device.Key) device.Status {
	for _, s := range []device.Status{device.Accepted, device.Preauthorized, device.Pending} {
		for _, k := range keys {
			if k.Status == s {
				return s
			}
		}
	}
	return device.Rejected
}

// setStatus gives a device another standing. One that leaves the accepted
// takes its open assignments to an end.
func (ch *change) setStatus(was store.Device, s device.Status) error {
	d := was
	d.Status, d.Version = s, ch.Next()
	ch.forget = append(ch.forget, d.ID)
	if was.Status == device.Accepted && s != device.Accepted {
		if err := ch.leave(was, "device is "+string(s)); err != nil {
			return err
		}
	}
	if was.Status != device.Accepted && s == device.Accepted {
		d.Member = d.Version
	}
	if err := ch.UpdateDevice(was, d); err != nil || was.Status == s {
		return err
	}
	return ch.tell(d)
}

// SetDeviceStatus accepts or rejects a device. Accepting takes the key with
// the fingerprint, or the newest; a device has one accepted key at a time.
// Rejecting turns that key away, or all of them. With ifMatch, it is refused
// when DeviceDetail.Version is another by now.
func (c *Control) SetDeviceStatus(ctx context.Context, id device.ID, s device.Status, fingerprint, ifMatch string) error {
	if s != device.Accepted && s != device.Rejected {
		return fmt.Errorf("%w status %q, want accepted or rejected", ErrInvalid, s)
	}
	return c.update(ctx, func(ch *change) error {
		d, keys, err := ch.standing(id, ifMatch)
		if err != nil {
			return err
		}
		if fingerprint != "" && !has(keys, fingerprint) {
			return fmt.Errorf("key %.80s of device %s: %w", fingerprint, id, ErrNotFound)
		}
		if s == device.Rejected {
			return ch.reject(d, keys, fingerprint)
		}
		if len(keys) == 0 {
			return fmt.Errorf("%w: device %s has no key", ErrConflict, id)
		}
		if fingerprint == "" {
			fingerprint = keys[len(keys)-1].Fingerprint
		}
		return ch.accept(d, keys, fingerprint)
	})
}

func (ch *change) standing(id device.ID, ifMatch string) (store.Device, []device.Key, error) {
	d, err := ch.Device(id)
	if err == nil && d.Status == device.Decommissioned {
		err = store.ErrNotFound
	}
	if err != nil {
		return d, nil, found("device "+string(id), err)
	}
	if ifMatch != "" && ifMatch != version(d) {
		return d, nil, fmt.Errorf("device %s: %w", id, ErrPrecondition)
	}
	keys, err := ch.Keys(id)
	return d, keys, err
}

func version(d store.Device) string { return strconv.FormatInt(d.Version, 10) }

func has(keys []device.Key, fingerprint string) bool {
	for _, k := range keys {
		if k.Fingerprint == fingerprint {
			return true
		}
	}
	return false
}

// Preauthorize expects a device: its first request with this key is accepted.
func (c *Control) Preauthorize(ctx context.Context, identity device.Identity, keyPEM string) (id device.ID, err error) {
	key, err := parseKey(keyPEM)
	if err != nil {
		return "", err
	}
	if identity, err = device.ParseIdentity(string(identity)); err != nil {
		return "", fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	key.Status = device.Preauthorized
	err = c.update(ctx, func(ch *change) error {
		if d, err := ch.DeviceByIdentity(identity); err == nil {
			return fmt.Errorf("%w: device %s has this identity and is %s", ErrConflict, d.ID, d.Status)
		}
		d, err := ch.join(identity, device.Preauthorized, 0)
		if err != nil {
			return err
		}
		id, key.CreatedAt = d.ID, ch.at
		return ch.PutKey(d.ID, key)
	})
	return id, err
}

// Decommission lets a device go for good. Its history stays; its identity may
// join again, as a new device.
func (c *Control) Decommission(ctx context.Context, id device.ID) error {
	return c.update(ctx, func(ch *change) error {
		d, keys, err := ch.standing(id, "")
		if err != nil {
			return err
		}
		for _, k := range keys {
			k.Status = device.Rejected
			if err := ch.PutKey(id, k); err != nil {
				return err
			}
		}
		return ch.setStatus(d, device.Decommissioned)
	})
}
