package store

import (
	"time"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
)

const assignmentColumns = `a.deployment, a.device, a.state, a.detail, a.artifact, a.bytes, a.total, a.attempt,
	a.has_log, a.updated_at`

func scanAssignment(s scanner) (a deployment.Assignment, err error) {
	var log, at int64
	err = s.Scan(&a.Deployment, &a.Device, &a.State, &a.Detail, &a.Artifact, &a.Bytes, &a.Total, &a.Attempt, &log, &at)
	a.HasLog, a.UpdatedAt = log != 0, fromMicros(at)
	return a, err
}

// Assignment returns a device's assignment row.
func (r Reader) Assignment(id deployment.ID, dev device.ID) (deployment.Assignment, error) {
	return one(collect(r, scanAssignment, `SELECT `+assignmentColumns+` FROM assignment a
		WHERE a.deployment = $1 AND a.device = $2`, id, dev))
}

// AssignmentsOf returns a device's assignment rows, newest deployment first.
func (r Reader) AssignmentsOf(dev device.ID, limit int) ([]deployment.Assignment, error) {
	return collect(r, scanAssignment, `SELECT `+assignmentColumns+` FROM assignment a
		WHERE a.device = $1 ORDER BY a.deployment DESC LIMIT $2`, dev, limit)
}

// OpenAssignments returns a device's rows in active deployments that have not
// come to an end.
func (r Reader) OpenAssignments(dev device.ID) ([]deployment.Assignment, error) {
	return collect(r, scanAssignment, `SELECT `+assignmentColumns+` FROM assignment a
		JOIN deployment p ON p.id = a.deployment WHERE a.device = $1 AND p.status = 'active'
		AND a.state IN ('pending', 'offered', 'downloading', 'installing', 'rebooting', 'trying')`, dev)
}

// Standing is all that a check-in needs, in one read over indexes: the device
// and its rows, ended or not, in active deployments.
func (r Reader) Standing(id device.ID) (d Device, rows []deployment.Assignment, err error) {
	var row deviceRow
	rows, err = collect(r, func(s scanner) (a deployment.Assignment, err error) {
		err = s.Scan(append(row.dst(), &a.Deployment, &a.State, &a.Artifact, &a.Attempt)...)
		a.Device = id
		return a, err
	}, `SELECT `+deviceColumns+`, COALESCE(a.deployment, ''), COALESCE(a.state, ''), COALESCE(a.artifact, ''),
		COALESCE(a.attempt, 0) FROM device d LEFT JOIN assignment a ON a.device = d.id
		AND a.deployment IN (SELECT p.id FROM deployment p WHERE p.status = 'active') WHERE d.id = $1`, id)
	switch {
	case err != nil:
		return d, nil, err
	case len(rows) == 0:
		return d, nil, ErrNotFound
	case rows[0].Deployment == "":
		rows = nil // the device has none
	}
	d, err = row.device()
	return d, rows, err
}

// InsertAssignment gives a device of a deployment its row.
func (t *Tx) InsertAssignment(a deployment.Assignment) error {
	return t.exec("store assignment", `INSERT INTO assignment (deployment, device, state, detail, artifact, bytes,
		total, attempt, has_log, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, $9)`,
		a.Deployment, a.Device, a.State, a.Detail, a.Artifact, a.Bytes, a.Total, a.Attempt, micros(a.UpdatedAt))
}

// UpdateAssignment stores an assignment's state and all that goes with it.
func (t *Tx) UpdateAssignment(a deployment.Assignment) error {
	return t.exec("store assignment", `UPDATE assignment SET state = $3, detail = $4, artifact = $5, bytes = $6,
		total = $7, attempt = $8, updated_at = $9 WHERE deployment = $1 AND device = $2`,
		a.Deployment, a.Device, a.State, a.Detail, a.Artifact, a.Bytes, a.Total, a.Attempt, micros(a.UpdatedAt))
}

// SetBytes stores how far a download came, if it is still under way.
func (t *Tx) SetBytes(id deployment.ID, dev device.ID, n int64) error {
	return t.exec("store byte count", `UPDATE assignment SET bytes = $3 WHERE deployment = $1 AND device = $2
		AND bytes < $3 AND state IN ('offered', 'downloading', 'installing')`, id, dev, n)
}

// AddTransition appends one step of an assignment, counts it, and tells of it.
func (t *Tx) AddTransition(s deployment.Transition) error {
	seq := t.Next()
	if err := t.exec("store transition", `INSERT INTO transition (seq, deployment, device, was, state, detail, at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`, seq, s.Deployment, s.Device, s.From, s.To, s.Detail, micros(s.At)); err != nil {
		return err
	}
	if err := t.AddCount(s.Deployment, s.From, -1); err != nil {
		return err
	}
	if err := t.AddCount(s.Deployment, s.To, 1); err != nil {
		return err
	}
	return t.addEvent(fleet.Event{At: s.At, Kind: fleet.KindAssignment, Device: s.Device, Deployment: s.Deployment,
		State: s.To, Detail: s.Detail}, seq)
}

// MaxTransitions bounds what Transitions returns.
const MaxTransitions = 1000

// Transitions returns the steps that a device took in a deployment, oldest first.
func (r Reader) Transitions(id deployment.ID, dev device.ID) ([]deployment.Transition, error) {
	return collect(r, func(s scanner) (x deployment.Transition, err error) {
		var at int64
		err = s.Scan(&x.Deployment, &x.Device, &x.From, &x.To, &x.Detail, &at)
		x.At = fromMicros(at)
		return x, err
	}, `SELECT deployment, device, was, state, detail, at FROM transition
		WHERE deployment = $1 AND device = $2 ORDER BY seq LIMIT $3`, id, dev, MaxTransitions)
}

// Rows returns assignment rows of a deployment by device id; a zero state
// picks all.
func (r Reader) Rows(id deployment.ID, s deployment.State, after device.ID, limit int) ([]deployment.Assignment, error) {
	if s == "" {
		return collect(r, scanAssignment, `SELECT `+assignmentColumns+` FROM assignment a
			WHERE a.deployment = $1 AND a.device > $2 ORDER BY a.device LIMIT $3`, id, after, limit)
	}
	return collect(r, scanAssignment, `SELECT `+assignmentColumns+` FROM assignment a
		WHERE a.deployment = $1 AND a.device > $2 AND a.state = $4 ORDER BY a.device LIMIT $3`, id, after, limit, s)
}

// Implied returns devices that are in a deployment to all or to a type
// without a row of their own, by id.
func (r Reader) Implied(d Deployment, after device.ID, limit int) ([]device.ID, error) {
	return collect(r, func(s scanner) (id device.ID, err error) {
		err = s.Scan(&id)
		return id, err
	}, `SELECT v.id FROM device v WHERE v.id > $1 AND v.status = 'accepted' AND v.member <= $2
		AND (CAST($3 AS TEXT) = '' OR v.type = $3)
		AND NOT EXISTS (SELECT 1 FROM assignment a WHERE a.deployment = $4 AND a.device = v.id)
		ORDER BY v.id LIMIT $5`, after, d.Seq, d.Target.Type, d.ID, limit)
}

// Enlist gives pending rows to those of the devices that are accepted, and
// returns how many it gave.
func (t *Tx) Enlist(id deployment.ID, devices []device.ID, at time.Time) (n int, err error) {
	for len(devices) > 0 {
		part := devices[:min(listed, len(devices))]
		devices = devices[len(part):]
		k, err := t.enlist(id, part, at)
		if err != nil {
			return n, err
		}
		n += k
	}
	return n, nil
}

func (t *Tx) enlist(id deployment.ID, part []device.ID, at time.Time) (int, error) {
	return t.count("store assignments", enlistSQL, places(part, id, micros(at))...)
}

var enlistSQL = `INSERT INTO assignment (deployment, device, state, detail, artifact, bytes, total, attempt, has_log, updated_at)
	SELECT CAST($1 AS TEXT), v.id, 'pending', '', '', 0, 0, 1, 0, CAST($2 AS BIGINT) FROM device v
	WHERE v.status = 'accepted' AND v.id IN (` + placeholders(3) + `)
	ON CONFLICT (deployment, device) DO NOTHING`
