package store

import "github.com/moult-ota/moult/internal/fleet"

// AddEvent stores an event; its cursor is the next number of the counter.
func (t *Tx) AddEvent(e fleet.Event) error {
	return t.addEvent(e, t.Next())
}

func (t *Tx) addEvent(e fleet.Event, seq int64) error {
	return t.exec("store event", `INSERT INTO event (seq, at, kind, device, deployment, state, detail)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`, seq, micros(e.At), e.Kind, e.Device, e.Deployment, e.State, e.Detail)
}

// Events returns events after the cursor, in order.
func (r Reader) Events(after fleet.Cursor, limit int) ([]fleet.Event, error) {
	return collect(r, func(s scanner) (e fleet.Event, err error) {
		var at int64
		err = s.Scan(&e.Cursor, &at, &e.Kind, &e.Device, &e.Deployment, &e.State, &e.Detail)
		e.At = fromMicros(at)
		return e, err
	}, `SELECT seq, at, kind, device, deployment, state, detail FROM event WHERE seq > $1 ORDER BY seq LIMIT $2`,
		after, limit)
}

// LastEvent returns the cursor of the newest event that can have been stored.
func (r Reader) LastEvent() (c fleet.Cursor, err error) {
	err = r.row(`SELECT n FROM counter WHERE id = 1`, nil, &c)
	return c, err
}

// ForgetEvents deletes up to limit events from before the cursor, oldest first,
// and returns how many.
func (t *Tx) ForgetEvents(before fleet.Cursor, limit int) (n int, err error) {
	return t.count("forget events", `DELETE FROM event WHERE seq IN
		(SELECT seq FROM event WHERE seq < $1 ORDER BY seq LIMIT $2)`, before, limit)
}
