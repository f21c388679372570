package store

import (
	"errors"
	"strings"
	"time"

	"github.com/moult-ota/moult/internal/deployment"
)

// A Move takes many assignments of one deployment to another state at once.
type Move struct {
	Deployment deployment.ID
	From       []deployment.State
	To         deployment.State
	Detail     string
	At         time.Time
	Fresh      bool // a new attempt, for devices that are still accepted
}

// MoveAll moves all assignment rows that are in one of the From states, with
// a transition and an event for each, and returns how many they were.
func (t *Tx) MoveAll(m Move) (int, error) {
	where := `WHERE a.deployment = $1 AND a.state IN (` + quoted(m.From) + `)`
	if m.Fresh {
		where += ` AND EXISTS (SELECT 1 FROM device v WHERE v.id = a.device AND v.status = 'accepted')`
	}
	total, err := t.countMove(m, where)
	if err != nil || total == 0 {
		return 0, err
	}
	base := t.n
	t.n += int64(total)
	err = errors.Join(
		t.exec("store transitions", `INSERT INTO transition (seq, deployment, device, was, state, detail, at)
			SELECT CAST($2 AS BIGINT) + ROW_NUMBER() OVER (ORDER BY a.device), a.deployment, a.device, a.state,
			CAST($3 AS TEXT), CAST($4 AS TEXT), CAST($5 AS BIGINT) FROM assignment a `+where,
			m.Deployment, base, m.To, m.Detail, micros(m.At)),
		t.exec("store events", `INSERT INTO event (seq, at, kind, device, deployment, state, detail)
			SELECT seq, at, 'assignment', device, deployment, state, detail FROM transition WHERE seq > $1`, base),
		t.moveRows(m, where))
	return total, err
}

func (t *Tx) moveRows(m Move, where string) error {
	set := `state = $2, detail = $3, updated_at = $4`
	if m.Fresh {
		set += `, attempt = attempt + 1, bytes = 0, artifact = ''`
	}
	return t.exec("move assignments", `UPDATE assignment AS a SET `+set+` `+where,
		m.Deployment, m.To, m.Detail, micros(m.At))
}

// countMove corrects the counts before the rows change.
func (t *Tx) countMove(m Move, where string) (total int, err error) {
	type count struct {
		state deployment.State
		n     int
	}
	counts, err := collect(t.Reader, func(s scanner) (c count, err error) {
		err = s.Scan(&c.state, &c.n)
		return c, err
	}, `SELECT a.state, COUNT(*) FROM assignment a `+where+` GROUP BY a.state`, m.Deployment)
	if err != nil {
		return 0, err
	}
	for _, c := range counts {
		total += c.n
		if err := t.AddCount(m.Deployment, c.state, -c.n); err != nil {
			return 0, err
		}
	}
	return total, t.AddCount(m.Deployment, m.To, total)
}

func quoted(states []deployment.State) string {
	parts := make([]string, len(states))
	for i, s := range states {
		parts[i] = "'" + string(s) + "'" // a constant of package deployment
	}
	return strings.Join(parts, ", ")
}
