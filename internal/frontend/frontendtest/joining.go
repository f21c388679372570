package frontendtest

import (
	"reflect"

	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/inventory"
)

var stories = []struct {
	name string
	tell func(*stage)
}{
	{"enrol, pending, accepted", pendingAccepted},
	{"rejected", rejected},
	{"impostor with another key", impostor},
	{"describe", describe},
	{"grant expires", grantExpires},
	{"nothing to do", nothingToDo},
	{"assigned", assigned},
	{"no artifact for its type", otherType},
	{"already installed", alreadyInstalled},
	{"progress and success", success},
	{"late and repeated reports", lateReports},
	{"failure with log", failure},
	{"rolled back", rolledBack},
	{"refused", refused},
	{"report after the end", afterEnd},
	{"cancel midway", cancel},
	{"cancel while trying", cancelTrying},
	{"download and resume", resume},
	{"reference expires", referenceExpires},
	{"stranger", stranger},
	{"stranger after cancel", strangerAfterCancel},
	{"unknown deployment", unknownDeployment},
}

func pendingAccepted(s *stage) {
	a := s.join(identity)
	s.wantNothing(a, running(oldName))
}

func rejected(s *stage) {
	a := s.join(identity)
	if err := s.Operator.Reject(identity); err != nil {
		s.Fatal(err)
	}
	_, err := a.CheckIn(s.ctx, running(oldName))
	s.wantError("CheckIn of a rejected device", err, fleet.ErrUnauthorized)
	s.wantError("Enroll of a rejected device", a.Enroll(s.ctx), fleet.ErrUnauthorized)
	if _, err := s.Operator.Accept(identity); err != nil {
		s.Fatal(err)
	}
	if err := a.Enroll(s.ctx); err != nil {
		s.Errorf("Enroll of a device accepted again: %v", err)
	}
	s.wantNothing(a, running(oldName))
}

func impostor(s *stage) {
	a := s.join(identity)
	other := s.Device(s.T, identity)
	s.wantError("Enroll with another key", other.Enroll(s.ctx), fleet.ErrUnauthorized)
	_, err := other.CheckIn(s.ctx, running(oldName))
	s.wantError("CheckIn with another key", err, fleet.ErrUnauthorized)
	if err := a.Enroll(s.ctx); err != nil {
		s.Errorf("Enroll of the device itself: %v", err)
	}
}

func describe(s *stage) {
	a := s.join(identity)
	first := inventory.Attributes{"hostname": "one", "cores": 4.0, "net": []any{"eth0", "wlan0"}}
	s.wantError("Describe", a.Describe(s.ctx, first, true), nil)
	s.wantInventory(a, first)
	s.wantError("Describe more", a.Describe(s.ctx, inventory.Attributes{"hostname": "two"}, false), nil)
	s.wantInventory(a, inventory.Attributes{"hostname": "two", "cores": 4.0, "net": []any{"eth0", "wlan0"}})
	s.wantError("Describe anew", a.Describe(s.ctx, inventory.Attributes{"cores": 2.0}, true), nil)
	s.wantInventory(a, inventory.Attributes{"cores": 2.0})
}

// wantInventory looks at the attributes that want names, and at those that
// the story named before; the fleet may add some of its own.
func (s *stage) wantInventory(a actor, want inventory.Attributes) {
	s.Helper()
	got, err := s.Records.Inventory(a.id)
	if err != nil {
		s.Fatal(err)
	}
	for _, name := range []string{"hostname", "cores", "net"} {
		if !reflect.DeepEqual(got[name], want[name]) {
			s.Errorf("inventory %s = %v, want %v", name, got[name], want[name])
		}
	}
}

func grantExpires(s *stage) {
	a := s.join(identity)
	s.Advance(s.Grant - 1e9)
	s.wantNothing(a, running(oldName))
	s.Advance(2e9)
	_, err := a.CheckIn(s.ctx, running(oldName))
	s.wantError("CheckIn after the grant", err, fleet.ErrUnauthorized)
	s.wantError("Enroll anew", a.Enroll(s.ctx), nil)
	s.wantNothing(a, running(oldName))
}
