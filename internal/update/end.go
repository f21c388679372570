package update

import (
	"maps"
	"strings"
	"time"

	"github.com/moult-ota/moult/internal/deployment"
)

// end says how the update under way ended, with the old image untouched or
// the new one confirmed.
func (r Record) end(s deployment.State, detail string) Record {
	r.Outcome = Outcome{Deployment: r.Deployment, State: s, Detail: cut(detail), Attempts: r.Attempts}
	return r.begin(Reporting)
}

// revert says how it will have ended once everything is back as it was.
func (r Record) revert(s deployment.State, detail string) Record {
	return r.end(s, detail).begin(Reverting)
}

// fail reverts what had not run yet as failed, and the rest as rolled back.
func (r Record) fail(detail string) Record {
	if r.Ran {
		return r.revert(deployment.RolledBack, detail)
	}
	return r.revert(deployment.Failed, detail)
}

// stuck says what nobody could undo on a child. It is not known what runs there.
func (r Record) stuck(detail string) Record {
	if r.Child {
		r.Outcome.State, r.Outcome.Detail = deployment.Failed, cut(r.Outcome.Detail+"; cannot go back: "+detail)
	}
	return r
}

func cut(detail string) string {
	return strings.ToValidUTF8(detail[:min(len(detail), maxDetail)], "")
}

// close skips the report when there is nobody to tell.
func (u Rules) close(r Record, now time.Time) Record {
	if r.Standalone || r.Deployment == "" || r.Outcome.State == deployment.Canceled {
		return u.finish(r, now)
	}
	return r
}

// finish goes back to Idle. What is offered after a repeated outcome is likely
// the same again, so the next poll then takes its time.
func (u Rules) finish(r Record, now time.Time) Record {
	wait := u.Retry
	if r.repeats() {
		wait = u.Poll
	}
	r.Last = r.Outcome
	r = r.clear().enter(Idle)
	r.WaitUntil = now.Add(wait)
	return r
}

// repeats reports whether the outcome was reported before.
func (r Record) repeats() bool { return r.Outcome == r.Last }

// confirmed makes what was pending installed.
func (u Rules) confirmed(r Record, now time.Time) Record {
	return u.close(r.permanent().end(deployment.Done, ""), now)
}

// permanent is r with the new image for good.
func (r Record) permanent() Record {
	r = r.install(r.Target, r.Pending)
	if r.FloorOf != "" {
		floors := maps.Clone(r.Floors)
		if floors == nil {
			floors = map[string]uint32{}
		}
		floors[r.FloorOf] = max(floors[r.FloorOf], r.Floor)
		r.Floors = floors
	}
	return r
}

// kept believes the register: the image is permanent after all. A child's may
// be so although it failed its checks.
func (u Rules) kept(r Record, now time.Time) Record {
	switch {
	case r.Phase != Reverting:
		return r
	case r.Child && r.Why == Unfit:
		return u.close(r.permanent().end(deployment.Failed, "the new image is permanent, but: "+r.Outcome.Detail), now)
	}
	return u.confirmed(r, now)
}

// reverted goes on after a roll back, to a reboot when what was rolled back
// still runs.
func (u Rules) reverted(r Record, now time.Time) Record {
	if r.runs() || !r.Target.Valid() && r.Boot && r.Ran {
		r.LeftBoot = r.ThisBoot
		return r.begin(Returning)
	}
	return u.close(r.begin(Reporting), now)
}

// runs reports whether the new image is the one that was booted.
func (r Record) runs() bool { return r.Target.Valid() && r.Running == r.Target }
