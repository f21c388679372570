// Package update is the agent's engine: one small record and a pure function
// over it. Step says, for a record and what just happened, what the record is
// now and what to do next; it does nothing itself.
//
// Its caller saves the record before it carries out the effect, and tells the
// engine how that ended. What to do next depends on the record alone, so after
// a power cut the same record asks for the same effect again: every effect
// must be safe to repeat.
//
//	Idle ─Offered─► Announcing ─► Fetching ─► Staging ─► Activating ─► Leaving ─► Rebooting
//	 ▲                               │           │           │            │           │ Booted
//	 │                               │           │           │            │           ▼
//	 │                               │      (canceled, or broken)         │        Checking ─► Joining ─► Proving ─► Confirming
//	 │                               │           └─────────┬─┴────────────┘           └─────────┬─┴──────────┘          │
//	 │                               │                     ▼                                    │                       │
//	 └───── Logging ◄─── Reporting ◄─┴────────────── Reverting ─► Returning ◄───────────────────┘ (through Reverting)   │
//	                         ▲                             Booted in the old image │                                    │
//	                         └─────────────────────────────────────────────────────┴────────────────────────────────────┘
//
// Its promises: nothing is activated before Fetched, which says that it was
// verified; nothing is confirmed before the new image ran, passed its checks,
// was let in by the server and had its report acknowledged; no phase but
// Reporting, which waits for an acknowledgement, goes on for ever.
package update

import "time"

// Rules are the engine's waits. Zero fields mean the default beside them.
type Rules struct {
	Poll     time.Duration // between polls; 0 means 30 minutes
	Retry    time.Duration // first wait after an error, doubled each time; 0 means 10 seconds
	RetryMax time.Duration // longest of these; 0 means 10 minutes
	Trial    time.Duration // for a new image to prove itself after a boot; 0 means 15 minutes
}

// Limits that keep every phase finite.
const (
	maxReports  = 3              // tries of a report that need not arrive
	maxFetches  = 10             // downloads of one deployment that broke off
	maxBoots    = 24             // boots while downloading, or while undoing
	maxTrials   = 8              // boots of a new image; the boot loader's own limit is usually lower
	maxReboots  = 5              // reboots that led nowhere
	maxWrites   = 4              // tries of a register or an installer that fails
	maxLogs     = 5              // tries of the log
	maxAttempts = 5              // times that one deployment is begun anew after it failed
	maxAway     = 24 * time.Hour // that a busy server may ask for
)

// withDefaults fills in the zero fields.
func (u Rules) withDefaults() Rules {
	fill(&u.Poll, 30*time.Minute)
	fill(&u.Retry, 10*time.Second)
	fill(&u.RetryMax, 10*time.Minute)
	fill(&u.Trial, 15*time.Minute)
	return u
}

func fill(d *time.Duration, def time.Duration) {
	if *d <= 0 {
		*d = def
	}
}

// backoff is the wait after the n-th error in a row, n from 1.
func (u Rules) backoff(n int) time.Duration {
	d := u.Retry
	for ; n > 1 && d < u.RetryMax; n-- {
		d *= 2
	}
	return min(d, u.RetryMax)
}
