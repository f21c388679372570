package update_test

import (
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/slot"
	"github.com/moult-ota/moult/internal/update"
)

var (
	noon  = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	rules = update.Rules{Poll: time.Hour, Retry: time.Second, RetryMax: time.Minute, Trial: 10 * time.Minute}

	offer   = update.Offered{Deployment: "d1", Artifact: "fw-2", URI: "http://x/1"}
	byHand  = update.Offered{URI: "fw.mender", Standalone: true}
	written = update.Fetched{Artifact: "fw-2", Kind: "rootfs-image", Target: slot.B, Image: "ab",
		FloorKey: "rootfs-image.security_version", Floor: 3, Pending: update.Provides{"artifact_name": "fw-2"}}
	module  = update.Fetched{Artifact: "fw-2", Kind: "deb", Pending: update.Provides{"artifact_name": "fw-2"}}
	child   = update.Fetched{Artifact: "fw-2", Kind: "mcuboot-image", Image: "ab 1.2.3", Child: true, Pending: update.Provides{"artifact_name": "fw-2"}}
	bootOld = update.Booted{Running: slot.A}
	bootNew = update.Booted{Running: slot.B, Trial: slot.B}
	gaveUp  = update.Booted{Running: slot.A, Failed: slot.B, Why: "tries"}
	down    = update.Down{Detail: "no route"}
	ok      = update.OK{}
)

type stretch = []update.Event

// upTo is the way to each place of a slot update.
var (
	announced = stretch{bootOld, offer}
	fetching  = append(announced[:2:2], ok)
	staging   = append(fetching[:3:3], written)
	active    = append(staging[:4:4], ok)
	leaving   = append(active[:5:5], update.Activated{Boot: true})
	rebooting = append(leaving[:6:6], ok)
	checking  = append(rebooting[:7:7], bootNew)
	proving   = append(checking[:8:8], ok, ok)
)

func play(t *testing.T, events stretch) (update.Record, update.Effect) {
	t.Helper()
	r, e := update.Record{Phase: update.Idle}, update.Effect{}
	now := noon
	for _, event := range events {
		r, e = rules.Step(r, event, now)
		for e.Act == update.Wait && !e.Until.IsZero() && e.Until.Sub(now) < rules.Poll {
			now = e.Until
			r, e = rules.Step(r, update.Tick{}, now)
		}
	}
	return r, e
}

func TestStep(t *testing.T) {
	tests := []struct {
		name   string
		begin  stretch
		then   stretch
		phase  update.Phase
		act    update.Act
		state  deployment.State // reported by the effect, or how the last update ended
		detail string
	}{
		{"nothing to do", stretch{bootOld}, stretch{update.Nothing{At: noon.Add(time.Hour)}}, "idle", update.Wait, "", ""},
		{"an offer is announced", announced, nil, "announcing", update.Report, "downloading", ""},
		{"announcing need not arrive", announced, stretch{down, down, down}, "fetching", update.Fetch, "", ""},
		{"canceled while announcing", announced, stretch{update.Canceled{}}, "idle", update.Poll, "canceled", "the server canceled it"},
		{"already there", stretch{bootOld}, stretch{update.Offered{Deployment: "d1", Artifact: ""}}, "announcing", update.Report, "downloading", ""},
		{"bad signature", fetching, stretch{update.Refused{Detail: "unsigned"}}, "reporting", update.Report, "refused", "unsigned"},
		{"disk full", fetching, stretch{update.Broke{Detail: "full"}}, "reporting", update.Report, "failed", "full"},
		{"link expired: ask again", fetching, stretch{update.Expired{}}, "idle", update.Poll, "", ""},
		{"line lost: ask again", fetching, stretch{down}, "idle", update.Poll, "", ""},
		{"and go on when it is offered again", fetching, stretch{down, offer, ok}, "fetching", update.Fetch, "", ""},
		{"power cut while fetching", fetching, stretch{bootOld}, "fetching", update.Fetch, "", ""},
		{"fetched", fetching, stretch{written}, "staging", update.Report, "installing", ""},
		{"canceled before activating", staging, stretch{update.Canceled{}}, "reverting", update.RollBack, "", "the server canceled it"},
		{"canceled, taken back, nobody told", staging, stretch{update.Canceled{}, ok}, "idle", update.Poll, "canceled", "the server canceled it"},
		{"activating fails", active, stretch{update.Broke{Detail: "register"}}, "reverting", update.RollBack, "", "register"},
		{"activating failed", active, stretch{update.Broke{Detail: "register"}, ok}, "reporting", update.Report, "failed", "register"},
		{"power cut before the flag", active, stretch{bootOld}, "activating", update.Activate, "", ""},
		{"power cut after the flag, loader starts it", active, stretch{bootNew}, "checking", update.CheckHealth, "", ""},
		{"power cut after the flag, loader gave up", active, stretch{gaveUp}, "reporting", update.Report, "rolled-back", "the boot loader went back to slot A: tries"},
		{"canceled before rebooting", leaving, stretch{update.Canceled{}, ok}, "idle", update.Poll, "canceled", "the server canceled it"},
		{"rebooting need not be known", leaving, stretch{down, down, down}, "rebooting", update.Reboot, "", ""},
		{"agent restarted instead", rebooting, stretch{update.Booted{Running: slot.A, Trial: slot.B}}, "rebooting", update.Reboot, "", ""},
		{"loader ignores the flag", rebooting, repeat(6, update.Booted{Running: slot.A, Trial: slot.B}), "reverting", update.RollBack, "", "the boot loader does not start the new image"},
		{"loader gave up", rebooting, stretch{gaveUp}, "reporting", update.Report, "rolled-back", "the boot loader went back to slot A: tries"},
		{"new image runs", rebooting, stretch{bootNew}, "checking", update.CheckHealth, "", ""},
		{"power cut on trial", checking, stretch{bootNew}, "checking", update.CheckHealth, "", ""},
		{"interrupted trial starts from its checks", proving, stretch{bootNew}, "checking", update.CheckHealth, "", ""},
		{"checks fail", checking, stretch{update.Broke{Detail: "no net"}}, "reverting", update.RollBack, "", "no net"},
		{"then reboot", checking, stretch{update.Broke{Detail: "no net"}, ok}, "returning", update.Reboot, "", ""},
		{"then report", checking, stretch{update.Broke{Detail: "no net"}, ok, bootOld}, "reporting", update.Report, "rolled-back", "no net"},
		{"then the log", checking, stretch{update.Broke{Detail: "no net"}, ok, bootOld, ok}, "logging", update.SendLog, "", ""},
		{"then rest", checking, stretch{update.Broke{Detail: "no net"}, ok, bootOld, ok, ok}, "idle", update.Poll, "rolled-back", "no net"},
		{"power cut while reverting", checking, stretch{update.Broke{Detail: "no net"}, bootNew}, "reverting", update.RollBack, "", "no net"},
		{"authenticate", checking, stretch{ok}, "joining", update.Authenticate, "", ""},
		{"report before confirming", checking, stretch{ok, ok}, "proving", update.Report, "trying", ""},
		{"server away for a while", checking, stretch{ok, down, down, ok}, "proving", update.Report, "trying", ""},
		{"server away for the whole trial", checking, append(stretch{ok}, repeat(30, down)...), "reverting", update.RollBack, "", "no contact with the server during the trial: no route"},
		{"canceled during the trial", proving, stretch{update.Canceled{}}, "reverting", update.RollBack, "", "the server canceled it during the trial"},
		{"confirm", proving, stretch{ok}, "confirming", update.Confirm, "", ""},
		{"power cut while confirming", proving, stretch{ok, bootNew}, "confirming", update.Confirm, "", ""},
		{"register cannot be written", proving, append(stretch{ok}, repeat(4, update.Broke{Detail: "io"})...), "reverting", update.RollBack, "", "io"},
		{"but it was", proving, append(append(stretch{ok}, repeat(4, update.Broke{Detail: "io"})...), update.Kept{}), "reporting", update.Report, "done", ""},
		{"done", proving, stretch{ok, ok}, "reporting", update.Report, "done", ""},
		{"done, power cut before the report", proving, stretch{ok, ok, update.Booted{Running: slot.B}}, "reporting", update.Report, "done", ""},
		{"done, but rotten", proving, stretch{ok, ok, gaveUp}, "reporting", update.Report, "rolled-back", "confirmed, but the boot loader went back: tries"},
		{"done is reported until acknowledged", proving, append(stretch{ok, ok}, repeat(40, down)...), "reporting", update.Report, "done", ""},
		{"rest", proving, stretch{ok, ok, ok}, "idle", update.Poll, "done", ""},
		{"asked again", proving, stretch{ok, ok, ok, offer}, "reporting", update.Report, "done", ""},
		{"then waits", proving, stretch{ok, ok, ok, offer, ok}, "idle", update.Wait, "done", ""},
		{"same artifact in another deployment", proving, stretch{ok, ok, ok, update.Offered{Deployment: "d2", Artifact: "fw-2"}}, "reporting", update.Report, "skipped", "already installed"},
		{"refused stays refused", fetching, stretch{update.Refused{Detail: "unsigned"}, ok, ok, offer}, "reporting", update.Report, "refused", "unsigned"},
		{"failed is tried again when asked", fetching, stretch{update.Broke{Detail: "full"}, ok, ok, offer}, "announcing", update.Report, "downloading", ""},
		{"unknown image on trial", stretch{bootNew}, nil, "reverting", update.RollBack, "", "an image on trial that no update here asked for"},

		{"by hand", stretch{bootOld, byHand}, nil, "fetching", update.Fetch, "", ""},
		{"by hand: waits for the operator", stretch{bootOld, byHand, written, update.Activated{Boot: true}}, nil, "waiting", update.Wait, "", ""},
		{"by hand: too early", stretch{bootOld, byHand, written, update.Activated{Boot: true}, update.Commit{}}, nil, "waiting", update.Wait, "", ""},
		{"by hand: commit checks first", stretch{bootOld, byHand, written, update.Activated{Boot: true}, bootNew, update.Commit{}}, nil, "checking", update.CheckHealth, "", ""},
		{"by hand: commit", stretch{bootOld, byHand, written, update.Activated{Boot: true}, bootNew, update.Commit{}, ok, ok}, nil, "idle", update.Poll, "done", ""},
		{"by hand: never committed", stretch{bootOld, byHand, written, update.Activated{Boot: true}, bootNew, gaveUp}, nil, "idle", update.Poll, "rolled-back", "the boot loader went back to slot A: tries"},
		{"by hand: go back", stretch{bootOld, byHand, written, update.Activated{Boot: true}, bootNew, update.Abandon{}, ok}, nil, "returning", update.Reboot, "", ""},

		{"module without boot", fetching, stretch{module, ok, update.Activated{}}, "checking", update.CheckHealth, "", ""},
		{"module, power cut", fetching, stretch{module, ok, update.Activated{}, ok, update.Booted{}}, "reverting", update.RollBack, "", "interrupted"},
		{"module, checks fail", fetching, stretch{module, ok, update.Activated{}, update.Broke{Detail: "x"}, ok}, "reporting", update.Report, "rolled-back", "x"},
		{"child, power cut before it is known to have changed", fetching, stretch{child, ok, update.Booted{}}, "activating", update.Activate, "", ""},
		{"child, does not take it", fetching, stretch{child, ok, update.Broke{Detail: "x"}, ok}, "reporting", update.Report, "failed", "x"},
		{"child, power cut on trial", fetching, stretch{child, ok, update.Activated{}, ok, update.Booted{}}, "checking", update.CheckHealth, "", ""},
		{"child, power cut while confirming", fetching, stretch{child, ok, update.Activated{}, ok, ok, ok, update.Booted{}}, "confirming", update.Confirm, "", ""},
		{"child, cut for ever", fetching, append(stretch{child, ok, update.Activated{}}, repeat(25, update.Booted{})...), "reverting", update.RollBack, "", "interrupted too often"},
		{"child, checks fail", fetching, stretch{child, ok, update.Activated{}, update.Broke{Detail: "x"}, ok}, "reporting", update.Report, "rolled-back", "x"},
		{"child, checks fail, and it is gone", fetching, append(stretch{child, ok, update.Activated{}, update.Broke{Detail: "x"}}, repeat(4, update.Broke{Detail: "away"})...), "reporting", update.Report, "failed", "x; cannot go back: away"},
		{"child, checks fail, and it is permanent", fetching, stretch{child, ok, update.Activated{}, update.Broke{Detail: "x"}, update.Kept{}}, "reporting", update.Report, "failed", "the new image is permanent, but: x"},
		{"child, confirmed but the answers were lost", fetching, append(append(stretch{child, ok, update.Activated{}, ok, ok, ok}, repeat(4, update.Broke{Detail: "x"})...), update.Kept{}), "reporting", update.Report, "done", ""},
		{"module with boot", fetching, stretch{module, ok, update.Activated{Boot: true}, ok, update.Booted{}}, "checking", update.CheckHealth, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, e := play(t, append(tt.begin[:len(tt.begin):len(tt.begin)], tt.then...))
			if r.Phase != tt.phase || e.Act != tt.act {
				t.Fatalf("phase %s, effect %s; want %s, %s", r.Phase, e.Act, tt.phase, tt.act)
			}
			state, detail := e.State, e.Detail
			if r.Phase == update.Idle {
				state, detail = r.Last.State, r.Last.Detail
			}
			if state != tt.state || detail != tt.detail {
				t.Errorf("state %q, detail %q; want %q, %q", state, detail, tt.state, tt.detail)
			}
		})
	}
}

func repeat(n int, e update.Event) stretch {
	var all stretch
	for range n {
		all = append(all, e)
	}
	return all
}

// TestConfirmedProvides looks at what is installed before and after.
func TestConfirmedProvides(t *testing.T) {
	r, _ := play(t, proving)
	if got := r.Installed[slot.B]["artifact_name"]; got != "" {
		t.Errorf("before confirming, slot B provides %q", got)
	}
	r, _ = play(t, append(proving[:len(proving):len(proving)], ok, ok, ok))
	if got := r.Provides()["artifact_name"]; got != "fw-2" {
		t.Errorf("after confirming, artifact_name is %q", got)
	}
	if got := r.Floors["rootfs-image.security_version"]; got != 3 {
		t.Errorf("floor is %d, want 3", got)
	}
}
