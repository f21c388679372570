package api

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/moult-ota/moult/internal/control"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
)

func deviceShape(d device.Device) Device {
	var identity map[string]any
	json.Unmarshal([]byte(d.Identity), &identity) // canonical, or it would not be stored
	return Device{
		ID: string(d.ID), Identity: identity, Status: string(d.Status), Type: d.Type, Release: d.Release,
		Parent: string(d.Parent), Provides: d.Provides, CreatedAt: d.CreatedAt, SeenAt: moment(d.SeenAt),
	}
}

func deviceDetailShape(d control.DeviceDetail) DeviceDetail {
	return DeviceDetail{
		Device: deviceShape(d.Device), Keys: shapes(d.Keys, keyShape), Inventory: d.Inventory,
		Assignments: shapes(d.Assignments, assignmentShape), Version: d.Version,
	}
}

func keyShape(k device.Key) Key {
	return Key{Fingerprint: k.Fingerprint, PEM: k.PEM, Status: string(k.Status), CreatedAt: k.CreatedAt}
}

func identityOf(attrs map[string]any) (device.Identity, error) {
	text, err := json.Marshal(attrs)
	if err != nil {
		return "", err
	}
	return device.ParseIdentity(string(text))
}

func artifactShape(a control.Artifact) Artifact {
	return Artifact{
		ID: a.ID, Release: a.Release, SHA256: a.SHA256, Size: a.Size, DeviceTypes: a.DeviceTypes, Depends: a.Depends,
		Provides: a.Provides, Clears: a.Clears, PayloadType: a.PayloadType, Signed: a.Signed,
		SecurityVersion: a.SecurityVersion, Note: a.Note, CreatedAt: a.CreatedAt,
	}
}

func releaseShape(r control.Release) Release {
	return Release{Name: r.Name, Artifacts: shapes(r.Artifacts, artifactShape), CreatedAt: r.CreatedAt}
}

func deploymentShape(d deployment.Deployment) Deployment {
	counts := map[string]int{}
	for state, n := range d.Counts {
		if n != 0 {
			counts[string(state)] = n
		}
	}
	return Deployment{
		ID: string(d.ID), Name: d.Name, Release: d.Release, Target: targetShape(d.Target), Status: string(d.Status),
		Retries: d.Retries, Size: d.Size, Counts: counts, CreatedAt: d.CreatedAt, FinishedAt: moment(d.FinishedAt), CreatedBy: d.CreatedBy,
	}
}

func targetShape(t deployment.Target) Target {
	ids := make([]string, len(t.Devices))
	for i, id := range t.Devices {
		ids[i] = string(id)
	}
	return Target{All: t.Kind == deployment.All, Type: t.Type, Devices: ids, Filter: t.Filter}
}

// targetOf wants exactly one member, so that a forgotten one never means all.
func targetOf(t Target) (deployment.Target, error) {
	to := deployment.Target{Type: t.Type, Filter: t.Filter}
	for _, id := range t.Devices {
		to.Devices = append(to.Devices, device.ID(id))
	}
	var said []string
	for _, m := range []struct {
		kind deployment.Kind
		is   bool
	}{{deployment.All, t.All}, {deployment.ByType, t.Type != ""}, {deployment.ByIDs, len(t.Devices) > 0}, {deployment.ByQuery, t.Filter != ""}} {
		if m.is {
			to.Kind = m.kind
			said = append(said, string(m.kind))
		}
	}
	if len(said) != 1 {
		return to, fmt.Errorf("%w: say exactly one of all, type, devices and filter, not %q", deployment.ErrTarget, strings.Join(said, ", "))
	}
	return to, to.Check()
}

func assignmentShape(a deployment.Assignment) Assignment {
	return Assignment{
		Deployment: string(a.Deployment), Device: string(a.Device), State: string(a.State), Detail: a.Detail, Artifact: a.Artifact,
		Bytes: a.Bytes, Total: a.Total, Attempt: a.Attempt, HasLog: a.HasLog, UpdatedAt: a.UpdatedAt,
	}
}

func transitionShape(t deployment.Transition) Transition {
	return Transition{From: string(t.From), To: string(t.To), Detail: t.Detail, At: t.At}
}

func eventShape(e fleet.Event) Event {
	return Event{
		Cursor: int64(e.Cursor), At: e.At, Kind: string(e.Kind), Device: string(e.Device),
		Deployment: string(e.Deployment), State: string(e.State), Detail: e.Detail,
	}
}

func enrolmentTokenShape(t control.EnrolmentToken) EnrolmentToken {
	return EnrolmentToken{ID: t.ID, Name: t.Name, Uses: t.Uses, Used: t.Used, CreatedAt: t.CreatedAt, ExpiresAt: moment(t.ExpiresAt)}
}

func tokenShape(t control.Token) Token {
	return Token{ID: t.ID, Name: t.Name, Scopes: t.Scopes, CreatedAt: t.CreatedAt, ExpiresAt: moment(t.ExpiresAt)}
}

// moment is nil for a time that never was, so that JSON leaves it out.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// unquote takes an entity tag to the version inside (RFC 9110 §8.8.3).
func unquote(tag string) string {
	return strings.Trim(strings.TrimPrefix(tag, "W/"), `"`)
}
