package update

import (
	"time"

	"github.com/moult-ota/moult/internal/deployment"
)

// ok goes on after an effect that was carried out.
func (u Rules) ok(r Record, now time.Time) Record {
	switch r.Phase {
	case Announcing:
		return r.begin(Fetching)
	case Staging:
		return r.begin(Activating)
	case Leaving:
		return leave(r)
	case Checking:
		if r.Standalone {
			return r.enter(Confirming)
		}
		return r.enter(Joining)
	case Joining:
		return r.enter(Proving)
	case Proving:
		return r.enter(Confirming)
	case Confirming:
		return u.confirmed(r, now)
	case Reverting:
		return u.reverted(r, now)
	case Reporting:
		return u.reported(r, now)
	case Logging:
		return u.finish(r, now)
	}
	return r
}

func leave(r Record) Record {
	r.LeftBoot = r.ThisBoot
	return r.begin(Rebooting)
}

// reported sends the log after what went wrong, once.
func (u Rules) reported(r Record, now time.Time) Record {
	switch r.Outcome.State {
	case deployment.Failed, deployment.RolledBack, deployment.Refused:
		if !r.repeats() {
			return r.begin(Logging)
		}
	}
	return u.finish(r, now)
}

// broke handles an effect that failed on the device.
func (u Rules) broke(r Record, detail string, now time.Time) Record {
	switch r.Phase {
	case Fetching:
		return u.close(r.end(deployment.Failed, detail), now)
	case Activating:
		return r.fail(detail)
	case Checking:
		return r.because(Unfit).fail(detail)
	case Rebooting, Confirming:
		return u.retry(r, now, maxWrites, func() Record { return r.fail(detail) })
	case Reverting:
		return u.retry(r, now, maxWrites, func() Record { return u.reverted(r.stuck(detail), now) })
	case Returning:
		return u.retry(r, now, maxWrites, func() Record { return u.close(r.begin(Reporting), now) })
	}
	return r
}

// retry waits for another try, and after max of them gives up.
func (u Rules) retry(r Record, now time.Time, max int, giveUp func() Record) Record {
	r.Tries++
	if r.Tries >= max {
		return giveUp()
	}
	r.WaitUntil = now.Add(u.backoff(r.Tries))
	return r
}

// down handles a server that could not be reached.
func (u Rules) down(r Record, e Down, now time.Time) Record {
	switch r.Phase {
	case Idle, Reporting:
		return u.later(r, e, now)
	case Announcing, Staging, Leaving:
		return u.optional(r, e, now, maxReports)
	case Logging:
		return u.optional(r, e, now, maxLogs)
	case Fetching:
		return u.refetch(r, e, now)
	case Joining, Proving:
		if !now.Before(r.TrialUntil) {
			return r.because(NoContact).fail("no contact with the server during the trial: " + e.Detail)
		}
		r = u.later(r, e, now)
		if r.WaitUntil.After(r.TrialUntil) {
			r.WaitUntil = r.TrialUntil
		}
	}
	return r
}

// later waits longer each time, and as long as a busy server asked for.
func (u Rules) later(r Record, e Down, now time.Time) Record {
	r.Tries++
	r.WaitUntil = now.Add(max(u.backoff(r.Tries), min(e.After, maxAway)))
	return r
}

// optional goes on without a report that does not get through.
func (u Rules) optional(r Record, e Down, now time.Time, tries int) Record {
	if r.Tries+1 >= tries {
		return u.ok(r, now)
	}
	return u.later(r, e, now)
}

// refetch asks the server anew after a download that broke off: by then the
// artifact may be elsewhere, or no longer wanted. Nobody but an operator's
// patience limits how often one can ask; maxFetches limits how often one gets.
func (u Rules) refetch(r Record, e Down, now time.Time) Record {
	r.Fetches++
	if r.Fetches > maxFetches || r.Standalone && r.Fetches >= maxReports {
		return u.close(r.end(deployment.Failed, e.Detail), now)
	}
	fetches := r.Fetches
	if !r.Standalone {
		r = r.begin(Idle)
	}
	r.Tries = 0
	r.WaitUntil = now.Add(max(u.backoff(fetches), min(e.After, maxAway)))
	return r
}

// canceled stops the update, or takes it back.
func (u Rules) canceled(r Record, now time.Time) Record {
	switch r.Phase {
	case Announcing, Fetching:
		return u.close(r.end(deployment.Canceled, "the server canceled it"), now)
	case Staging, Leaving:
		return r.because(Operator).revert(deployment.Canceled, "the server canceled it")
	case Proving:
		return r.because(Operator).revert(deployment.RolledBack, "the server canceled it during the trial")
	case Reporting, Logging:
		return u.finish(r, now)
	}
	return r
}
