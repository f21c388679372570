package update

import (
	"time"

	"github.com/moult-ota/moult/internal/deployment"
)

// booted compares what runs with what the record expects.
func (u Rules) booted(r Record, e Booted, now time.Time) Record {
	r.Running, r.ThisBoot = e.Running, e.ID
	r.Tries, r.WaitUntil = 0, time.Time{}
	if r.Installed[e.Running] == nil && e.Provides != nil {
		r = r.install(e.Running, e.Provides)
	}
	switch r.Phase {
	case Idle, Reporting, Logging:
		return u.bootedAtRest(r, e)
	case Announcing:
		return r
	}
	r.Boots++
	switch r.Phase {
	case Fetching, Staging:
		if r.Boots > maxBoots {
			return u.close(r.end(deployment.Failed, "interrupted too often"), now)
		}
		return r
	case Reverting, Returning:
		return u.bootedBack(r, now)
	}
	switch {
	case r.Target.Valid():
		return u.bootedSlots(r, e, now)
	case r.Child:
		return u.bootedBesideChild(r, now)
	}
	return u.bootedInPlace(r, now)
}

// bootedAtRest expects nothing on trial, and the confirmed image running.
func (u Rules) bootedAtRest(r Record, e Booted) Record {
	if r.Phase == Idle {
		r.WaitUntil = e.At
	}
	switch {
	case e.Trial.Valid() && r.Phase == Idle:
		r = r.clear()
		r.Standalone, r.Target = true, e.Trial
		return r.revert(deployment.Failed, "an image on trial that no update here asked for")
	case e.Trial.Valid():
		return r.begin(Reverting) // it could not be taken back before
	case r.Phase == Reporting && r.Outcome.State == deployment.Done && r.Target.Valid() && !r.runs():
		return r.end(deployment.RolledBack, "confirmed, but the boot loader went back: "+e.Why)
	}
	return r
}

// bootedBack looks whether the old image runs again.
func (u Rules) bootedBack(r Record, now time.Time) Record {
	rebooted := r.ThisBoot == "" || r.ThisBoot != r.LeftBoot
	switch {
	case r.Boots > maxBoots, r.Phase == Returning && r.Boots > maxReboots:
		r.Outcome.State, r.Outcome.Detail = deployment.Failed, cut("cannot go back; "+r.Outcome.Detail)
		return u.close(r.begin(Reporting), now)
	case r.Phase == Reverting:
		return r // once more: the flag may still be set
	case r.runs():
		return r
	case !r.Target.Valid() && !rebooted:
		return r
	}
	return u.close(r.begin(Reporting), now)
}

// bootedSlots handles a boot while a slot is activated, or on trial.
func (u Rules) bootedSlots(r Record, e Booted, now time.Time) Record {
	waiting := e.Trial == r.Target && !r.runs() // the flag is set, the old image runs
	switch {
	case r.runs() && r.Phase == Waiting, waiting && r.Phase == Waiting:
		r.Boots = 0
		return r
	case r.runs() && r.Phase == Confirming:
		return r
	case r.runs() && r.Boots > maxTrials:
		return u.try(r, now).fail("interrupted too often during the trial")
	case r.runs():
		return u.try(r.enter(Checking), now)
	case waiting && r.Boots > maxReboots:
		return r.fail("the boot loader does not start the new image")
	case waiting:
		return r.enter(Rebooting)
	case r.Phase == Activating && e.Failed != r.Target && r.Boots <= maxBoots:
		return r // the flag was not set yet
	}
	return u.close(r.end(deployment.RolledBack, gaveUp(e, r)), now)
}

func gaveUp(e Booted, r Record) string {
	detail := "the boot loader went back to slot " + r.Running.String()
	if e.Failed == r.Target && e.Why != "" {
		detail += ": " + e.Why
	}
	return detail
}

// bootedInPlace handles a boot after a module ran. What needs no boot and was
// interrupted is undone: nobody knows how far it came.
func (u Rules) bootedInPlace(r Record, now time.Time) Record {
	rebooted := r.ThisBoot == "" || r.ThisBoot != r.LeftBoot
	switch {
	case r.Phase == Waiting, r.Phase == Confirming && r.Boots <= maxBoots:
		return r
	case !r.Boot || r.Phase == Activating:
		return u.try(r, now).fail("interrupted")
	case r.Phase == Leaving, r.Phase == Rebooting && !rebooted && r.Boots <= maxReboots:
		return r
	case r.Boots > maxTrials:
		return u.try(r, now).fail("interrupted too often")
	}
	return u.try(r.enter(Checking), now)
}

// bootedBesideChild handles a boot of the gateway during an update of a child.
// The child may have been through anything meanwhile, so it is asked anew.
func (u Rules) bootedBesideChild(r Record, now time.Time) Record {
	switch {
	case r.Phase == Waiting:
		r.Boots = 0
		return r
	case r.Boots > maxBoots:
		return r.fail("interrupted too often")
	case r.Phase == Activating, r.Phase == Confirming:
		return r
	}
	return u.try(r.enter(Checking), now)
}
