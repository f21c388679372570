package update

import (
	"time"

	"github.com/moult-ota/moult/internal/deployment"
)

// An Act is what an effect does.
type Act string

// The acts. Each may be carried out again after a power cut, with the same
// end. In brackets the events that may follow.
const (
	Wait         Act = "wait"         // until Effect.Until [Tick]
	Poll         Act = "poll"         // ask the server [Offered, Nothing, Down]
	Report       Act = "report"       // Effect.State [OK, Canceled, Down]
	Fetch        Act = "fetch"        // [Fetched, Refused, Broke, Down, Expired, Canceled]
	Activate     Act = "activate"     // [Activated, Broke]
	Reboot       Act = "reboot"       // [Booted, Broke]
	CheckHealth  Act = "check health" // [OK, Broke]
	Authenticate Act = "authenticate" // [OK, Down]
	Confirm      Act = "confirm"      // [OK, Broke]
	RollBack     Act = "roll back"    // [OK, Broke, Kept]
	SendLog      Act = "send log"     // [OK, Down]
)

// An Effect is what to do next.
type Effect struct {
	Act    Act
	Until  time.Time        // for Wait; zero: until an operator says something
	State  deployment.State // for Report
	Detail string           // for Report and RollBack
}

// table is what each phase asks for.
var table = map[Phase]Effect{
	Idle:       {Act: Poll},
	Announcing: {Act: Report, State: deployment.Downloading},
	Fetching:   {Act: Fetch},
	Staging:    {Act: Report, State: deployment.Installing},
	Activating: {Act: Activate},
	Leaving:    {Act: Report, State: deployment.Rebooting},
	Rebooting:  {Act: Reboot},
	Checking:   {Act: CheckHealth},
	Joining:    {Act: Authenticate},
	Proving:    {Act: Report, State: deployment.Trying},
	Waiting:    {Act: Wait},
	Confirming: {Act: Confirm},
	Reverting:  {Act: RollBack},
	Returning:  {Act: Reboot},
	Reporting:  {Act: Report},
	Logging:    {Act: SendLog},
}

// Next returns the effect that r asks for. It depends on r and the time alone.
func (r Record) Next(now time.Time) Effect {
	if now.Before(r.WaitUntil) {
		return Effect{Act: Wait, Until: r.WaitUntil}
	}
	e := table[r.Phase]
	switch r.Phase {
	case Reporting:
		e.State, e.Detail = r.Outcome.State, r.Outcome.Detail
	case Reverting:
		e.Detail = r.Outcome.Detail
	}
	return e
}
