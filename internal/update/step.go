package update

import (
	"time"

	"github.com/moult-ota/moult/internal/deployment"
)

// Step returns the record after an event, and what to do next. The caller
// saves the record before it does that.
func (u Rules) Step(r Record, e Event, now time.Time) (Record, Effect) {
	r = u.withDefaults().apply(r, e, now)
	return r, r.Next(now)
}

func (u Rules) apply(r Record, e Event, now time.Time) Record {
	switch e := e.(type) {
	case Booted:
		return u.booted(r, e, now)
	case Offered:
		return u.offered(r, e)
	case Nothing:
		return nothing(r, e)
	case Fetched:
		return fetched(r, e)
	case Activated:
		return u.activated(r, e, now)
	case Refused, Expired:
		return u.unfetched(r, e, now)
	case OK:
		return u.ok(r, now)
	case Broke:
		return u.broke(r, e.Detail, now)
	case Down:
		return u.down(r, e, now)
	case Canceled:
		return u.canceled(r, now)
	case Kept:
		return u.kept(r, now)
	case Commit, Abandon:
		return u.asked(r, e)
	}
	return r
}

// offered begins an update, or says again how it ended the last time.
func (u Rules) offered(r Record, e Offered) Record {
	if r.Phase != Idle {
		return r
	}
	if !e.Standalone && e.Deployment == r.Last.Deployment && !again(r.Last) {
		r.Outcome, r.Deployment = r.Last, e.Deployment
		if r.Outcome.State == deployment.Canceled { // no report says so
			r.Outcome.State = deployment.Failed
		}
		return r.begin(Reporting)
	}
	if e.Standalone || e.Deployment != r.Deployment {
		r = r.clear()
		r.Deployment, r.Standalone, r.Attempts = e.Deployment, e.Standalone, 1
		if e.Deployment == r.Last.Deployment {
			r.Attempts += r.Last.Attempts
		}
	}
	r.Artifact, r.URI = e.Artifact, e.URI
	switch {
	case e.Standalone:
		return r.begin(Fetching)
	case e.Artifact != "" && e.Artifact == r.Provides()["artifact_name"]:
		return r.end(deployment.Skipped, "already installed")
	}
	return r.begin(Announcing)
}

// again reports whether a deployment that ended so is begun anew when it is
// offered once more: the server knows of the end, so it means it.
func again(o Outcome) bool {
	switch o.State {
	case deployment.Failed, deployment.RolledBack, deployment.Canceled:
		return o.Attempts < maxAttempts
	}
	return false
}

// nothing forgets an update that is offered no longer.
func nothing(r Record, e Nothing) Record {
	if r.Phase != Idle {
		return r
	}
	r = r.clear()
	r.Tries, r.WaitUntil = 0, e.At
	return r
}

func fetched(r Record, e Fetched) Record {
	if r.Phase != Fetching {
		return r
	}
	r.Artifact, r.Kind, r.Target, r.Image, r.Child = e.Artifact, e.Kind, e.Target, e.Image, e.Child
	r.FloorOf, r.Floor, r.Pending = e.FloorKey, e.Floor, e.Pending
	if r.Standalone {
		return r.begin(Activating)
	}
	return r.begin(Staging)
}

// unfetched handles a fetch that ended without an image, and not by chance.
func (u Rules) unfetched(r Record, e Event, now time.Time) Record {
	if r.Phase != Fetching {
		return r
	}
	if refused, ok := e.(Refused); ok {
		return u.close(r.end(deployment.Refused, refused.Detail), now)
	}
	return u.refetch(r, Down{Detail: "the address of the artifact has expired"}, now)
}

func (u Rules) activated(r Record, e Activated, now time.Time) Record {
	if r.Phase != Activating {
		return r
	}
	r.Boot = e.Boot
	switch {
	case r.Standalone:
		return r.begin(Waiting)
	case r.Boot:
		return r.begin(Leaving)
	}
	return u.try(r.begin(Checking), now)
}

// try starts the clock of a trial.
func (u Rules) try(r Record, now time.Time) Record {
	r.Ran, r.TrialUntil = true, now.Add(u.Trial)
	return r
}

// asked does what an operator said on the device.
func (u Rules) asked(r Record, e Event) Record {
	if r.Phase != Waiting {
		return r
	}
	if _, abandon := e.(Abandon); abandon {
		return r.because(Operator).revert(deployment.RolledBack, "an operator went back")
	}
	if r.Target.Valid() && r.Running != r.Target {
		return r // the new image does not run yet
	}
	r.Ran = true
	return r.enter(Checking)
}
