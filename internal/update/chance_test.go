package update_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/slot"
	"github.com/moult-ota/moult/internal/update"
)

// anything draws an event without asking whether it fits.
func anything(rng *rand.Rand) update.Event {
	slots := []slot.Slot{slot.None, slot.A, slot.B}
	any := func() slot.Slot { return slots[rng.IntN(3)] }
	id := deployment.ID(fmt.Sprint("d", rng.IntN(3)))
	return []update.Event{
		update.Booted{Running: any(), Trial: any(), Failed: any(), ID: fmt.Sprint(rng.IntN(2))},
		update.Offered{Deployment: id, Artifact: fmt.Sprint("fw-", rng.IntN(3))},
		update.Offered{Standalone: true},
		update.Nothing{}, update.OK{}, update.OK{}, update.OK{}, update.OK{}, update.Broke{}, update.Down{},
		update.Canceled{}, update.Kept{}, update.Refused{}, update.Expired{}, written, module, child,
		update.Activated{Boot: rng.IntN(2) == 0}, update.Commit{}, update.Abandon{}, update.Tick{},
	}[rng.IntN(21)]
}

// A ledger remembers what the promises of the package are about.
type ledger struct {
	fetched, healthy, joined, proved bool
}

func (l *ledger) note(before update.Record, e update.Event) {
	_, good := e.(update.OK)
	switch _, isFetched := e.(update.Fetched); {
	case isFetched && before.Phase == update.Fetching:
		*l = ledger{fetched: true}
	case before.Phase == update.Checking && good:
		l.healthy = true
	case before.Phase == update.Joining && good:
		l.joined = true
	case before.Phase == update.Proving && good:
		l.proved = true
	}
	if _, offered := e.(update.Offered); offered && before.Phase == update.Idle {
		*l = ledger{}
	}
}

// TestPromisesByChance plays events that may or may not fit.
func TestPromisesByChance(t *testing.T) {
	for seed := range uint64(3000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		r, now, l := update.Record{Phase: update.Idle}, noon, ledger{}
		for range 120 {
			e := anything(rng)
			l.note(r, e)
			var next update.Effect
			r, next = rules.Step(r, e, now)
			now = now.Add(time.Duration(rng.IntN(120)) * time.Second)
			ready := l.healthy && (r.Standalone || l.joined && l.proved)
			if next.Act == update.Activate && !l.fetched || next.Act == update.Confirm && !ready {
				t.Fatalf("seed %d: %s asked for with %+v", seed, next.Act, l)
			}
			stored, err := r.Encode()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := update.Decode(stored); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
	}
}

// answers are the ends that an effect may come to when nothing goes well.
var answers = map[update.Act][]update.Event{
	update.Poll:         {update.Down{}},
	update.Report:       {update.Down{}, update.OK{}},
	update.Fetch:        {update.Down{}, update.Broke{}, update.Expired{}, written, module, child},
	update.Activate:     {update.Broke{}, update.Activated{}, update.Activated{Boot: true}},
	update.Reboot:       {update.Booted{Running: slot.A}, update.Booted{Running: slot.B, Trial: slot.B}, update.Broke{}},
	update.CheckHealth:  {update.OK{}, update.Broke{}},
	update.Authenticate: {update.Down{}, update.OK{}},
	update.Confirm:      {update.Broke{}, update.Broke{}, update.OK{}},
	update.RollBack:     {update.Broke{}, update.OK{}},
	update.SendLog:      {update.Down{}},
}

// TestNeverStuck lets one update go as wrong as it may, with power cuts, and
// wants it to end in bounded time. A server answers the final report.
func TestNeverStuck(t *testing.T) {
	const limit = 600
	longest := 0
	for seed := range uint64(3000) {
		rng := rand.New(rand.NewPCG(seed, 2))
		now := noon
		r, e := rules.Step(update.Record{Phase: update.Idle}, bootOld, now)
		r, e = rules.Step(r, offer, now)
		n := 0
		for ; r.Last.State == ""; n++ {
			if n > limit {
				t.Fatalf("seed %d: still %s after %d steps", seed, r.Phase, n)
			}
			var event update.Event
			switch {
			case e.Act == update.Wait:
				now, event = e.Until, update.Tick{}
			case e.Act == update.Poll:
				event = offer
			case e.Act == update.Report && r.Phase == update.Reporting:
				event = update.OK{}
			case rng.IntN(20) == 0:
				event = answers[update.Reboot][rng.IntN(2)]
			default:
				event = answers[e.Act][rng.IntN(len(answers[e.Act]))]
			}
			r, e = rules.Step(r, event, now)
		}
		longest = max(longest, n)
	}
	t.Logf("longest way to an end: %d steps", longest)
}
