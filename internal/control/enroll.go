package control

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/store"
)

// maxKeys bounds the keys of one device; of those that wait, the oldest gives way.
const maxKeys = 16

// Enroll implements fleet.Core. A key that the device did not come with
// before waits for acceptance, also when another of its keys is accepted: an
// enrolment token lets in a new device, but never replaces a key.
func (c *Control) Enroll(ctx context.Context, cr fleet.Credential) (device.ID, error) {
	key, err := parseKey(cr.Key)
	if err != nil {
		return "", err
	}
	if id, err := admitted(c.DB.Read(ctx), cr.Identity, key); err == nil {
		return id, nil
	} else if !errors.Is(err, store.ErrNotFound) {
		return "", wrap("look up device", err)
	}
	var id device.ID
	var verdict error // also stored, so no reason to undo the transaction
	err = c.update(ctx, func(ch *change) (err error) {
		id, verdict, err = ch.enroll(cr, key, c.MaxPending)
		return err
	})
	if err != nil {
		return "", err
	}
	return id, verdict
}

// admitted returns the device that is accepted with this very key.
func admitted(r store.Reader, i device.Identity, key device.Key) (device.ID, error) {
	d, err := r.DeviceByIdentity(i)
	if err != nil {
		return "", err
	}
	keys, err := r.Keys(d.ID)
	if err != nil {
		return "", err
	}
	for _, k := range keys {
		if k.Fingerprint == key.Fingerprint && k.Status == device.Accepted {
			return d.ID, nil
		}
	}
	return "", store.ErrNotFound
}

// parseKey reads a public key and brings its PEM into one form.
func parseKey(text string) (device.Key, error) {
	if len(text) > device.MaxKey {
		return device.Key{}, fmt.Errorf("%w public key: %d bytes, at most %d", ErrInvalid, len(text), device.MaxKey)
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return device.Key{}, fmt.Errorf("%w public key: no PEM block", ErrInvalid)
	}
	if _, err := x509.ParsePKIXPublicKey(block.Bytes); err != nil {
		return device.Key{}, fmt.Errorf("%w public key: %w", ErrInvalid, err)
	}
	sum := sha256.Sum256(block.Bytes)
	normal := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: block.Bytes})
	return device.Key{Fingerprint: hex.EncodeToString(sum[:]), PEM: string(normal), Status: device.Pending}, nil
}

func (ch *change) enroll(cr fleet.Credential, key device.Key, maxPending int) (device.ID, error, error) {
	d, err := ch.DeviceByIdentity(cr.Identity)
	if errors.Is(err, store.ErrNotFound) {
		d, err = ch.join(cr.Identity, device.Pending, maxPending)
	}
	if err != nil {
		return "", nil, err
	}
	keys, key, added, err := ch.show(d.ID, key)
	if err != nil {
		return "", nil, err
	}
	switch key.Status {
	case device.Accepted:
		return d.ID, nil, nil
	case device.Preauthorized:
		return d.ID, nil, ch.accept(d, keys, key.Fingerprint)
	case device.Rejected:
		return d.ID, fleet.ErrRejected, nil
	}
	if cr.Token != "" && fresh(keys) {
		ok, err := ch.redeem(cr.Token)
		if err != nil || ok {
			return d.ID, nil, errors.Join(err, ch.accept(d, keys, key.Fingerprint))
		}
	}
	if !added && best(keys) == d.Status {
		return d.ID, fleet.ErrPending, nil
	}
	return d.ID, fleet.ErrPending, ch.settle(d, keys)
}

// join adds a device that nobody knew.
func (ch *change) join(i device.Identity, s device.Status, maxPending int) (store.Device, error) {
	n, err := ch.CountDevices(device.Pending, "")
	if err != nil {
		return store.Device{}, err
	}
	if s == device.Pending && n >= maxPending {
		return store.Device{}, fmt.Errorf("%d devices wait for acceptance already: %w", n, fleet.ErrBusy)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return store.Device{}, err
	}
	d := store.Device{Device: device.Device{ID: device.ID(id.String()), Identity: i, Status: s,
		Provides: map[string]string{}, CreatedAt: ch.at}, Version: ch.Next()}
	if err := ch.InsertDevice(d); err != nil {
		return d, err
	}
	return d, ch.tell(d)
}

func (ch *change) tell(d store.Device) error {
	return ch.AddEvent(fleet.Event{At: ch.at, Kind: fleet.KindDevice, Device: d.ID, Detail: string(d.Status)})
}

// show returns the device's keys with key among them, added if it is new, and
// key with the standing that it has.
func (ch *change) show(id device.ID, key device.Key) (_ []device.Key, _ device.Key, added bool, _ error) {
	keys, err := ch.Keys(id)
	if err != nil {
		return nil, key, false, err
	}
	for _, k := range keys {
		if k.Fingerprint == key.Fingerprint {
			return keys, k, false, nil
		}
	}
	if len(keys) >= maxKeys {
		if keys, err = ch.dropOldest(id, keys); err != nil {
			return nil, key, false, err
		}
	}
	key.CreatedAt = ch.at
	return append(keys, key), key, true, ch.PutKey(id, key)
}

func (ch *change) dropOldest(id device.ID, keys []device.Key) ([]device.Key, error) {
	for i, k := range keys {
		if k.Status == device.Pending || k.Status == device.Rejected {
			return append(keys[:i:i], keys[i+1:]...), ch.DeleteKey(id, k.Fingerprint)
		}
	}
	return nil, fmt.Errorf("device has %d keys: %w", len(keys), fleet.ErrBusy)
}

// fresh reports whether nobody decided about any of a device's keys.
func fresh(keys []device.Key) bool {
	for _, k := range keys {
		if k.Status != device.Pending {
			return false
		}
	}
	return true
}

// redeem uses up one use of an enrolment token.
func (ch *change) redeem(secret string) (bool, error) {
	t, err := ch.EnrolmentToken(hashSecret(secret))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if expired(t.ExpiresAt, ch.at) || t.Uses > 0 && t.Used >= t.Uses {
		return false, nil
	}
	return true, ch.UseEnrolmentToken(t.ID)
}
