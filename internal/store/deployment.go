package store

import (
	"fmt"

	"github.com/moult-ota/moult/internal/deployment"
)

// A Deployment is a row of the deployment table.
type Deployment struct {
	deployment.Deployment
	// Seq is the counter when it was created. A device whose Member is
	// greater is not in it unless it has an assignment row.
	Seq int64
	// Implied is how many devices are in it without an assignment row yet:
	// those of a deployment to all or to a type get theirs when they check in.
	Implied int
}

const deploymentColumns = `SELECT p.id, p.seq, p.name, p.release, p.kind, p.type, p.filter, p.status, p.retries,
	p.size, p.implied, p.created_by, p.created_at, p.finished_at FROM deployment p `

func scanDeployment(s scanner) (d Deployment, err error) {
	var created, finished int64
	err = s.Scan(&d.ID, &d.Seq, &d.Name, &d.Release, &d.Target.Kind, &d.Target.Type, &d.Target.Filter, &d.Status,
		&d.Retries, &d.Size, &d.Implied, &d.CreatedBy, &created, &finished)
	d.CreatedAt, d.FinishedAt = fromMicros(created), fromMicros(finished)
	return d, err
}

// Deployment returns the deployment id with its counts. Target.Devices is
// not kept: the assignments are the list.
func (r Reader) Deployment(id deployment.ID) (Deployment, error) {
	d, err := one(collect(r, scanDeployment, deploymentColumns+`WHERE p.id = $1`, id))
	if err != nil {
		return d, err
	}
	d.Counts, err = r.counts(id)
	return d, err
}

func (r Reader) counts(id deployment.ID) (map[deployment.State]int, error) {
	counts := map[deployment.State]int{}
	_, err := collect(r, func(s scanner) (n int, err error) {
		var state deployment.State
		err = s.Scan(&state, &n)
		if n != 0 {
			counts[state] = n
		}
		return n, err
	}, `SELECT state, n FROM deployment_count WHERE deployment = $1`, id)
	return counts, err
}

// A DeploymentFilter picks deployments; zero fields pick all.
type DeploymentFilter struct {
	Status  deployment.Status
	Release string
	Before  int64 // only those with a smaller Seq; 0 for the newest
	Limit   int
}

// Deployments returns deployments with their counts, newest first.
func (r Reader) Deployments(f DeploymentFilter) ([]Deployment, error) {
	where, args := `WHERE (CAST($1 AS BIGINT) = 0 OR p.seq < $1)`, args(f.Before, f.Limit)
	for _, c := range []struct{ column, value string }{{"status", string(f.Status)}, {"release", f.Release}} {
		if c.value != "" {
			args = append(args, c.value)
			where += fmt.Sprintf(` AND p.%s = $%d`, c.column, len(args))
		}
	}
	all, err := collect(r, scanDeployment, deploymentColumns+where+` ORDER BY p.seq DESC LIMIT $2`, args...)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].Counts, err = r.counts(all[i].ID); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// ActiveDeployments returns the active deployments without their counts,
// oldest first. Whoever creates them bounds their number.
func (r Reader) ActiveDeployments() ([]Deployment, error) {
	return collect(r, scanDeployment, deploymentColumns+`WHERE p.status = 'active' ORDER BY p.seq`)
}

// ImpliedDeployments returns those that have devices without an assignment
// row, active or aborted.
func (r Reader) ImpliedDeployments() ([]Deployment, error) {
	return collect(r, scanDeployment, deploymentColumns+`WHERE p.implied > 0 ORDER BY p.seq`)
}

// InsertDeployment stores a new deployment with all its devices pending.
func (t *Tx) InsertDeployment(d Deployment) error {
	if err := t.exec("store deployment", `INSERT INTO deployment (id, seq, name, release, kind, type, filter, status,
		retries, size, implied, created_by, created_at, finished_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 0)`,
		d.ID, d.Seq, d.Name, d.Release, d.Target.Kind, d.Target.Type, d.Target.Filter, d.Status,
		d.Retries, d.Size, d.Implied, d.CreatedBy, micros(d.CreatedAt)); err != nil {
		return err
	}
	return t.AddCount(d.ID, deployment.Pending, d.Size)
}

// UpdateDeployment stores what changes in a deployment's life: its status,
// size and the number of implied devices.
func (t *Tx) UpdateDeployment(d Deployment) error {
	return t.exec("store deployment", `UPDATE deployment SET status = $2, size = $3, implied = $4, finished_at = $5
		WHERE id = $1`, d.ID, d.Status, d.Size, d.Implied, micros(d.FinishedAt))
}

// AddCount adds n to the devices that are in a state.
func (t *Tx) AddCount(id deployment.ID, s deployment.State, n int) error {
	return t.exec("count assignments", `INSERT INTO deployment_count (deployment, state, n) VALUES ($1, $2, $3)
		ON CONFLICT (deployment, state) DO UPDATE SET n = deployment_count.n + excluded.n`, id, s, n)
}

// BareDeployment is Deployment without the counts.
func (r Reader) BareDeployment(id deployment.ID) (Deployment, error) {
	return one(collect(r, scanDeployment, deploymentColumns+`WHERE p.id = $1`, id))
}

// CountOpen counts the devices of a deployment that have not come to an end.
func (r Reader) CountOpen(id deployment.ID) (n int, err error) {
	err = r.row(`SELECT CAST(COALESCE(SUM(n), 0) AS BIGINT) FROM deployment_count WHERE deployment = $1
		AND state IN ('pending', 'offered', 'downloading', 'installing', 'rebooting', 'trying')`, args(id), &n)
	return n, err
}

// CountActive counts active deployments; with a release, those of it.
func (r Reader) CountActive(release string) (n int, err error) {
	err = r.row(`SELECT COUNT(*) FROM deployment WHERE status = 'active'
		AND (CAST($1 AS TEXT) = '' OR release = $1)`, args(release), &n)
	return n, err
}

// LessImplied says that one implied device of a deployment got its row.
func (t *Tx) LessImplied(id deployment.ID) error {
	return t.exec("store deployment", `UPDATE deployment SET implied = implied - 1 WHERE id = $1`, id)
}
