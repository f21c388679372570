package store

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/inventory"
)

// A Device is a row of the device table: what the fleet knows of it, and what
// the control plane keeps beside that.
type Device struct {
	device.Device
	Report  int64 // hash of the last report; 0 for none
	Member  int64 // counter when it was accepted or changed its type
	Version int64 // counter when its standing changed
}

const deviceColumns = `d.id, d.identity, d.status, d.type, d.release, d.parent, d.provides,
	d.report, d.member, d.version, d.created_at, d.seen_at`

// A deviceRow receives deviceColumns.
type deviceRow struct {
	Device
	provides      string
	created, seen int64
}

func (r *deviceRow) dst() []any {
	d := &r.Device
	return []any{&d.ID, &d.Identity, &d.Status, &d.Type, &d.Release, &d.Parent, &r.provides,
		&d.Report, &d.Member, &d.Version, &r.created, &r.seen}
}

func (r *deviceRow) device() (Device, error) {
	r.CreatedAt, r.SeenAt = fromMicros(r.created), fromMicros(r.seen)
	if err := json.Unmarshal([]byte(r.provides), &r.Provides); err != nil {
		return Device{}, fmt.Errorf("read provides of device %s: %w", r.ID, err)
	}
	return r.Device, nil
}

func scanDevice(s scanner) (Device, error) {
	var r deviceRow
	if err := s.Scan(r.dst()...); err != nil {
		return Device{}, err
	}
	return r.device()
}

// one returns the only element, or ErrNotFound.
func one[T any](all []T, err error) (v T, _ error) {
	if err != nil {
		return v, err
	}
	if len(all) == 0 {
		return v, ErrNotFound
	}
	return all[0], nil
}

// Device returns the device id, decommissioned ones too.
func (r Reader) Device(id device.ID) (Device, error) {
	return one(collect(r, scanDevice, `SELECT `+deviceColumns+` FROM device d WHERE d.id = $1`, id))
}

// DeviceByIdentity returns the device with that identity that is not decommissioned.
func (r Reader) DeviceByIdentity(i device.Identity) (Device, error) {
	return one(collect(r, scanDevice, `SELECT `+deviceColumns+` FROM device d
		WHERE d.identity_hash = $1 AND d.status <> 'decommissioned'`, i.Hash()))
}

// A DeviceFilter picks devices; zero fields pick all.
type DeviceFilter struct {
	Status  device.Status
	Type    string
	Release string
	Before  device.ID // only older ones; empty for the newest
	Limit   int
}

// newest sorts after every id.
const newest = "~"

func (f DeviceFilter) where() (string, []any) {
	if f.Before == "" {
		f.Before = newest
	}
	where, args := ` WHERE d.id < $1`, args(f.Before, f.Limit)
	for _, c := range []struct{ column, value string }{
		{"status", string(f.Status)}, {"type", f.Type}, {"release", f.Release},
	} {
		if c.value != "" {
			args = append(args, c.value)
			where += fmt.Sprintf(` AND d.%s = $%d`, c.column, len(args))
		}
	}
	return where + ` ORDER BY d.id DESC LIMIT $2`, args
}

// Devices returns devices, newest first.
func (r Reader) Devices(f DeviceFilter) ([]Device, error) {
	where, args := f.where()
	return collect(r, scanDevice, `SELECT `+deviceColumns+` FROM device d`+where, args...)
}

// A Count is a number of devices of one standing and type.
type Count struct {
	Status device.Status
	Type   string
	N      int
}

// DeviceCounts returns how many devices there are, by standing and type.
func (r Reader) DeviceCounts() ([]Count, error) {
	return collect(r, func(s scanner) (c Count, err error) {
		err = s.Scan(&c.Status, &c.Type, &c.N)
		return c, err
	}, `SELECT status, type, n FROM device_count`)
}

// CountDevices counts devices of one standing and, unless empty, one type.
func (r Reader) CountDevices(status device.Status, typ string) (n int, err error) {
	err = r.row(`SELECT CAST(COALESCE(SUM(n), 0) AS BIGINT) FROM device_count
		WHERE status = $1 AND (CAST($2 AS TEXT) = '' OR type = $2)`, args(status, typ), &n)
	return n, err
}

// InsertDevice stores a new device.
func (t *Tx) InsertDevice(d Device) error {
	provides, err := json.Marshal(d.Provides)
	if err != nil {
		return err
	}
	err = t.exec("store device", `INSERT INTO device (id, identity, identity_hash, status, type, release, parent,
		provides, report, member, version, created_at, seen_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
		d.ID, d.Identity, d.Identity.Hash(), d.Status, d.Type, d.Release, d.Parent, string(provides),
		d.Report, d.Member, d.Version, micros(d.CreatedAt), micros(d.SeenAt))
	return errors.Join(err, t.countDevice(d, 1))
}

// UpdateDevice replaces was, as it was read in this transaction, by d.
// Identity and last contact stay.
func (t *Tx) UpdateDevice(was, d Device) error {
	provides, err := json.Marshal(d.Provides)
	if err != nil {
		return err
	}
	if err := t.exec("store device", `UPDATE device SET status = $2, type = $3, release = $4, parent = $5,
		provides = $6, report = $7, member = $8, version = $9 WHERE id = $1`,
		d.ID, d.Status, d.Type, d.Release, d.Parent, string(provides), d.Report, d.Member, d.Version); err != nil {
		return err
	}
	if was.Status == d.Status && was.Type == d.Type {
		return nil
	}
	return errors.Join(t.countDevice(was, -1), t.countDevice(d, 1))
}

func (t *Tx) countDevice(d Device, n int) error {
	return t.exec("count devices", `INSERT INTO device_count (status, type, n) VALUES ($1, $2, $3)
		ON CONFLICT (status, type) DO UPDATE SET n = device_count.n + excluded.n`, d.Status, d.Type, n)
}

// SetSeen stores that devices were last heard at a time, in µs since 1970,
// unless something later is known already.
func (t *Tx) SetSeen(ids []device.ID, micros int64) error {
	for len(ids) > 0 {
		part := ids[:min(listed, len(ids))]
		ids = ids[len(part):]
		if err := t.exec("store last contacts", seenSQL, places(part, micros)...); err != nil {
			return err
		}
	}
	return nil
}

var seenSQL = `UPDATE device SET seen_at = $1 WHERE seen_at < $1 AND id IN (` + placeholders(2) + `)`

// A Known device is what a server remembers of one that is accepted.
type Known struct {
	ID     device.ID
	Report int64
}

// Known returns accepted devices with an id greater than after, in order.
func (r Reader) Known(after device.ID, limit int) ([]Known, error) {
	return collect(r, func(s scanner) (k Known, err error) {
		err = s.Scan(&k.ID, &k.Report)
		return k, err
	}, `SELECT id, report FROM device WHERE status = 'accepted' AND id > $1 ORDER BY id LIMIT $2`, after, limit)
}

// Keys returns a device's keys, oldest first.
func (r Reader) Keys(id device.ID) ([]device.Key, error) {
	return collect(r, func(s scanner) (k device.Key, err error) {
		var at int64
		err = s.Scan(&k.Fingerprint, &k.PEM, &k.Status, &at)
		k.CreatedAt = fromMicros(at)
		return k, err
	}, `SELECT fingerprint, pem, status, created_at FROM device_key WHERE device = $1 ORDER BY created_at, fingerprint`, id)
}

// PutKey stores a key, or its new standing.
func (t *Tx) PutKey(id device.ID, k device.Key) error {
	return t.exec("store key", `INSERT INTO device_key (device, fingerprint, pem, status, created_at)
		VALUES ($1, $2, $3, $4, $5) ON CONFLICT (device, fingerprint) DO UPDATE SET status = excluded.status`,
		id, k.Fingerprint, k.PEM, k.Status, micros(k.CreatedAt))
}

// DeleteKey forgets a key.
func (t *Tx) DeleteKey(id device.ID, fingerprint string) error {
	return t.exec("delete key", `DELETE FROM device_key WHERE device = $1 AND fingerprint = $2`, id, fingerprint)
}

// Inventory returns a device's attributes; none are no error.
func (r Reader) Inventory(id device.ID) (inventory.Attributes, error) {
	var js string
	a := inventory.Attributes{}
	err := r.row(`SELECT attributes FROM inventory WHERE device = $1`, args(id), &js)
	if errors.Is(err, ErrNotFound) {
		return a, nil
	}
	if err != nil {
		return nil, err
	}
	return a, json.Unmarshal([]byte(js), &a)
}

// PutInventory replaces a device's attributes.
func (t *Tx) PutInventory(id device.ID, a inventory.Attributes) error {
	js, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return t.exec("store inventory", `INSERT INTO inventory (device, attributes) VALUES ($1, $2)
		ON CONFLICT (device) DO UPDATE SET attributes = excluded.attributes`, id, string(js))
}

// Described is a device with its attributes.
type Described struct {
	Device
	Inventory inventory.Attributes
}

// Described is Devices with the attributes of each.
func (r Reader) Described(f DeviceFilter) ([]Described, error) {
	where, args := f.where()
	return collect(r, scanDescribed, `SELECT `+deviceColumns+`, COALESCE(i.attributes, '{}')
		FROM device d LEFT JOIN inventory i ON i.device = d.id`+where, args...)
}

func scanDescribed(s scanner) (d Described, err error) {
	var row deviceRow
	var attributes string
	if err := s.Scan(append(row.dst(), &attributes)...); err != nil {
		return d, err
	}
	if d.Device, err = row.device(); err != nil {
		return d, err
	}
	if err := json.Unmarshal([]byte(attributes), &d.Inventory); err != nil {
		return d, fmt.Errorf("read inventory of device %s: %w", d.ID, err)
	}
	return d, nil
}
