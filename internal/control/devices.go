package control

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/inventory"
	"github.com/moult-ota/moult/internal/store"
)

// A DeviceQuery picks devices; zero fields pick all.
type DeviceQuery struct {
	Status  device.Status
	Type    string
	Release string
	Filter  string // in the language of package inventory
	Page
}

// A DeviceDetail is all that the fleet knows of one device.
type DeviceDetail struct {
	device.Device
	Keys        []device.Key // oldest first
	Inventory   inventory.Attributes
	Assignments []deployment.Assignment // newest first, at most 20
	Version     string                  // changes with the device's standing; for ifMatch
}

const (
	detailAssignments = 20
	filterChunk       = 500    // devices that a filter looks at per read
	filterScan        = 20_000 // and per call of Devices
)

// Devices lists devices, newest first.
func (c *Control) Devices(ctx context.Context, q DeviceQuery) (l List[device.Device], err error) {
	limit, err := q.limit()
	if err != nil {
		return l, err
	}
	before, err := q.key('d')
	if err != nil {
		return l, err
	}
	f := store.DeviceFilter{Status: q.Status, Type: q.Type, Release: q.Release, Before: device.ID(before), Limit: limit + 1}
	if q.Filter != "" {
		return c.matching(ctx, f, q.Filter, limit)
	}
	rows, err := c.DB.Read(ctx).Devices(f)
	if err != nil {
		return l, wrap("list devices", err)
	}
	items := make([]device.Device, len(rows))
	for i, d := range rows {
		items[i] = c.heard(d.Device)
	}
	return page(items, limit, 'd', func(d device.Device) string { return string(d.ID) }), nil
}

// heard returns d with a contact that is not written yet, if this server had one.
func (c *Control) heard(d device.Device) device.Device {
	if at := c.memory.lastSeen(d.ID); at.After(d.SeenAt) {
		d.SeenAt = at
	}
	return d
}

// matching lists devices that match a filter, out of the next filterScan.
func (c *Control) matching(ctx context.Context, f store.DeviceFilter, filter string, limit int) (l List[device.Device], err error) {
	want, err := parseFilter(filter)
	if err != nil {
		return l, err
	}
	f.Limit = filterChunk
	for range filterScan / filterChunk {
		rows, err := c.DB.Read(ctx).Described(f)
		if err != nil {
			return l, wrap("list devices", err)
		}
		for _, d := range rows {
			f.Before = d.ID
			if !want.Match(attributes(d)) {
				continue
			}
			if l.Items = append(l.Items, c.heard(d.Device.Device)); len(l.Items) == limit {
				l.Next = cursor('d', string(d.ID))
				return l, nil
			}
		}
		if len(rows) < filterChunk {
			return l, nil
		}
	}
	l.Next = cursor('d', string(f.Before))
	return l, nil
}

func parseFilter(text string) (inventory.Filter, error) {
	f, err := inventory.Parse(text)
	if err != nil {
		return f, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return f, nil
}

// attributes adds the names that every device has.
func attributes(d store.Described) inventory.Attributes {
	a := d.Inventory
	a["id"], a["type"], a["release"] = string(d.ID), d.Type, d.Release
	return a
}

// Device returns one device, decommissioned ones too.
func (c *Control) Device(ctx context.Context, id device.ID) (detail DeviceDetail, err error) {
	err = c.DB.View(ctx, func(r store.Reader) error {
		d, err := r.Device(id)
		if err != nil {
			return found("device "+string(id), err)
		}
		detail.Device, detail.Version = c.heard(d.Device), version(d)
		if detail.Keys, err = r.Keys(id); err != nil {
			return err
		}
		if detail.Inventory, err = r.Inventory(id); err != nil {
			return err
		}
		detail.Assignments, err = r.AssignmentsOf(id, detailAssignments)
		return err
	})
	return detail, err
}

// CountDevices returns how many devices have each standing.
func (c *Control) CountDevices(ctx context.Context) (map[device.Status]int, error) {
	counts, err := c.DB.Read(ctx).DeviceCounts()
	if err != nil {
		return nil, wrap("count devices", err)
	}
	n := map[device.Status]int{}
	for _, k := range counts {
		n[k.Status] += k.N
	}
	return n, nil
}

// Describe implements fleet.Core.
func (c *Control) Describe(ctx context.Context, id device.ID, a inventory.Attributes, replace bool) error {
	if err := a.Check(); err != nil {
		return err
	}
	if err := c.accepted(ctx, id); err != nil {
		return err
	}
	was, err := c.DB.Read(ctx).Inventory(id)
	if err != nil {
		return wrap("read inventory", err)
	}
	if same(was, merged(was, a, replace)) {
		return nil
	}
	return c.update(ctx, func(ch *change) error {
		was, err := ch.Inventory(id)
		if err != nil {
			return err
		}
		now := merged(was, a, replace)
		if err := now.Check(); err != nil {
			return err
		}
		return errors.Join(ch.PutInventory(id, now), ch.findParent(id))
	})
}

func merged(was, a inventory.Attributes, replace bool) inventory.Attributes {
	if replace {
		return a
	}
	all := maps.Clone(was)
	maps.Copy(all, a)
	return all
}

func same(a, b inventory.Attributes) bool {
	return len(a) == len(b) && (len(a) == 0 || reflect.DeepEqual(a, b))
}
