package frontendtest

import (
	"context"
	"errors"
	"testing"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
)

// A stage is a world in one test, with the steps that stories share.
type stage struct {
	*testing.T
	World
	ctx context.Context
}

func newStage(t *testing.T, w World) *stage { return &stage{t, w, t.Context()} }

// An actor is a device and the name that the fleet has for it.
type actor struct {
	Device
	id device.ID
}

const (
	boardType = "board-1"
	oldName   = "release-1"
	newName   = "release-2"
)

func running(artifact string) fleet.Report {
	return fleet.Report{Type: boardType, Provides: map[string]string{
		"artifact_name": artifact, "rootfs-image.version": artifact,
	}}
}

// join enrols a device and accepts it.
func (s *stage) join(identity device.Identity) actor {
	s.Helper()
	d := s.Device(s.T, identity)
	if err := d.Enroll(s.ctx); !errors.Is(err, fleet.ErrUnauthorized) {
		s.Fatalf("Enroll of a new device = %v, want %v", err, fleet.ErrUnauthorized)
	}
	id, err := s.Operator.Accept(identity)
	if err != nil {
		s.Fatal(err)
	}
	if err := d.Enroll(s.ctx); err != nil {
		s.Fatalf("Enroll of an accepted device: %v", err)
	}
	return actor{d, id}
}

const identity device.Identity = `{"mac":"de:ad:be:ef:00:01"}`

// publish makes the new release and returns the file.
func (s *stage) publish() []byte {
	s.Helper()
	file, err := s.Operator.Publish(newName, boardType, 64<<10)
	if err != nil {
		s.Fatal(err)
	}
	return file
}

// deploy sends the new release to devices.
func (s *stage) deploy(to ...actor) deployment.ID {
	s.Helper()
	var ids []device.ID
	for _, a := range to {
		ids = append(ids, a.id)
	}
	d, err := s.Operator.Deploy(newName, ids...)
	if err != nil {
		s.Fatal(err)
	}
	return d
}

// assigned is a device that was offered the new release.
func (s *stage) assigned() (actor, Offer, []byte) {
	s.Helper()
	a, file := s.join(identity), s.publish()
	d := s.deploy(a)
	o, err := a.CheckIn(s.ctx, running(oldName))
	if err != nil || o.Deployment != d {
		s.Fatalf("CheckIn = %+v, %v, want deployment %s", o, err, d)
	}
	return a, o, file
}

// report sends progress that must be taken.
func (s *stage) report(a actor, p fleet.Progress) {
	s.Helper()
	if err := a.Progress(s.ctx, p); err != nil {
		s.Fatalf("Progress(%+v): %v", p, err)
	}
}

// wantState fails unless the fleet has the device in the state.
func (s *stage) wantState(d deployment.ID, a actor, want deployment.State) deployment.Assignment {
	s.Helper()
	got, err := s.Records.Assignment(d, a.id)
	if err != nil {
		s.Fatal(err)
	}
	if got.State != want {
		s.Errorf("state of %s in %s = %s, want %s", a.id, d, got.State, want)
	}
	return got
}

// wantNothing fails unless the device has nothing to do.
func (s *stage) wantNothing(a actor, r fleet.Report) {
	s.Helper()
	if o, err := a.CheckIn(s.ctx, r); err != nil || o.Deployment != "" {
		s.Errorf("CheckIn = %+v, %v, want nothing to do", o, err)
	}
}

func (s *stage) wantError(call string, got, want error) {
	s.Helper()
	if !errors.Is(got, want) {
		s.Errorf("%s = %v, want %v", call, got, want)
	}
}
