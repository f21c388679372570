package mcu_test

import (
	"strings"
	"testing"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/child/childtest"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/install/mcu"
	"github.com/moult-ota/moult/mcuboot"
)

// A story is one update and how it ends when nothing interferes.
type story struct {
	name   string
	end    deployment.State
	path   string // states at the server
	detail string // in the last of them
	world  func(*world)
}

var (
	refused = "offered downloading refused"
	failed  = "offered downloading installing failed"
	back    = "offered downloading installing rolled-back"
)

var stories = []story{
	{"good", deployment.Done, "offered downloading installing trying done", "", nil},
	{"does not come up", deployment.RolledBack, back, "did not start, or was given up", habit(childtest.Habit{Hangs: true})},
	{"fails its self-test", deployment.RolledBack, back, "the sensor does not answer", habit(childtest.Habit{Sick: true})},
	{"the boot loader does not take it", deployment.Failed, failed, "child's key", habit(childtest.Habit{Rejected: true})},
	{"canceled while installing", deployment.Canceled, "offered downloading canceled", "", canceledAt(deployment.Installing)},
	{"canceled on trial", deployment.Canceled, "offered downloading installing canceled", "", canceledAt(deployment.Trying)},
	{"mute", deployment.Done, "offered downloading installing trying done", "", mute(childtest.Habit{})},
	{"mute, does not come up", deployment.RolledBack, back, "did not start, or was given up", mute(childtest.Habit{Hangs: true})},
	{"mute, never confirms itself", deployment.RolledBack, "offered downloading installing trying rolled-back", "", mute(childtest.Habit{Forgets: true})},
	{"mute, fails its self-test after it confirmed itself", deployment.Failed, failed, "permanent, but: self-test", mute(childtest.Habit{Sick: true})},
	{"not signed", deployment.Refused, refused, mcuboot.ErrUnsigned.Error(), artifactOf(unsigned(new2), nil)},
	{"signed with another key", deployment.Refused, refused, mcuboot.ErrSignature.Error(), artifactOf(foreign(), nil)},
	{"damaged", deployment.Refused, refused, mcuboot.ErrHash.Error(), artifactOf(damage(new2), nil)},
	{"not an image", deployment.Refused, refused, "not an MCUboot image", artifactOf(garbage(), nil)},
	{"padded", deployment.Refused, refused, "--pad", artifactOf(padded(new2), nil)},
	{"too large", deployment.Refused, refused, "room for", func(w *world) { w.change = func(i *mcu.Installer) { i.Room = size / 2 } }},
	{"for another device type", deployment.Refused, refused, "toaster", artifactOf(new2, func(s *artifact.Spec) { s.DeviceTypes = []string{"toaster"} })},
	{"for another board", deployment.Refused, refused, "class id", func(w *world) { w.change = func(i *mcu.Installer) { i.ClassID = make([]byte, 16) } }},
	{"two floors", deployment.Refused, refused, "security counter", artifactOf(new2, func(s *artifact.Spec) { s.Provides["board.security_version"] = "3" })},
	{"another version than it says", deployment.Refused, refused, "the image is 2.0.0", artifactOf(new2, func(s *artifact.Spec) { s.Provides["board.version"] = "2.0.1" })},
	{"older than the boot loader takes", deployment.Refused, refused, "older than allowed", downgrade},
	{"bad artifact signature", deployment.Refused, refused, "", artifactOf(new2, func(s *artifact.Spec) { s.Signer = nil })},
}

// TestStories wants each to end as it should.
func TestStories(t *testing.T) {
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			w := s.open(0, 0, 0)
			w.live()
			s.check(t, w, "no cut")
			if got := w.server.Path(); got != s.path {
				t.Errorf("states %q, want %q (%s)", got, s.path, w.server.Detail)
			}
			if !strings.Contains(w.server.Detail, s.detail) {
				t.Errorf("detail %q, want %q in it", w.server.Detail, s.detail)
			}
			if s.end == deployment.Refused && (w.child.Sent > 0 || w.child.Boots > 0 || w.shelf.image != nil) {
				t.Errorf("refused, and %d bytes were sent, %d resets", w.child.Sent, w.child.Boots)
			}
		})
	}
}

// TestPowerCutOfTheGateway cuts it at every disk write, request, piece of the
// download and call to the child.
func TestPowerCutOfTheGateway(t *testing.T) {
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			clean := s.open(0, 0, 0)
			clean.live()
			cuts := 0
			for seed := range uint64(2) {
				for at := 1; at <= clean.power.Total(); at++ {
					w := s.open(at, 0, seed)
					w.live()
					s.check(t, w, "gateway cut at %d, seed %d", at, seed)
					cuts++
				}
			}
			t.Logf("%d operations %v, %d cuts", clean.power.Total(), clean.power.Ops, cuts)
		})
	}
}

// TestPowerCutOfTheChild cuts it at every operation.
func TestPowerCutOfTheChild(t *testing.T) {
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			clean := s.open(0, 0, 0)
			clean.live()
			ends := map[deployment.State]int{}
			for seed := range uint64(4) {
				for at := 1; at <= clean.child.Ops; at++ {
					w := s.open(0, at, seed)
					w.live()
					s.check(t, w, "child cut at %d, seed %d", at, seed)
					ends[w.server.State]++
				}
			}
			t.Logf("%d operations of the child, ends %v", clean.child.Ops, ends)
		})
	}
}

// TestPowerCutOfBoth cuts the gateway at every operation, and the child with
// it or some operations later.
func TestPowerCutOfBoth(t *testing.T) {
	for _, s := range stories[:9] {
		t.Run(s.name, func(t *testing.T) {
			clean := s.open(0, 0, 0)
			clean.live()
			for at := 1; at <= clean.power.Total(); at++ {
				for later := 1; later <= clean.child.Ops; later += 9 {
					w := s.open(at, later, uint64(at))
					w.live()
					s.check(t, w, "gateway cut at %d, child at %d", at, later)
				}
			}
		})
	}
}

// check: what a cut may change is that the old image stays, and that is said.
func (s story) check(t *testing.T, w *world, format string, args ...any) {
	t.Helper()
	for _, broken := range w.check() {
		t.Errorf(format+": %s (%s: %s)", append(args, broken, w.server.Path(), w.server.Detail)...)
	}
	state := w.server.State
	if s.end == deployment.Refused && state != s.end {
		t.Errorf(format+": ended %s (%s)", append(args, state, w.server.Detail)...)
	}
	if t.Failed() {
		t.FailNow()
	}
}
