// Package distribution_test attacks the secure distribution as a broker that
// is an enemy's, and lets it stand bad lines. Each attack is a test with its
// name.
package distribution_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/api/client"
	"github.com/moult-ota/moult/internal/broker/brokertest/hostile"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/frontend/frontendtest"
	"github.com/moult-ota/moult/internal/frontend/frontendtest/mqttdevice"
	"github.com/moult-ota/moult/internal/server"
	"github.com/moult-ota/moult/internal/server/servertest"
	"github.com/moult-ota/moult/internal/wire/topic"
)

// A scene is a server behind a hostile broker.
type scene struct {
	*testing.T
	*servertest.World
	enemy *hostile.Broker
}

func newScene(t *testing.T) scene {
	t.Helper()
	enemy := hostile.Start(t)
	w := servertest.Start(t, func(o *server.Options) { o.MQTTBroker, o.MQTTRate = "mqtt://"+enemy.Addr(), "16MiB" })
	return scene{t, w, enemy}
}

// member is an accepted device in a session, and its id in the fleet.
func (s scene) member(name string) (*mqttdevice.Device, string) {
	s.Helper()
	d := mqttdevice.New(s.T, s.enemy.Addr(), device.Identity(fmt.Sprintf(`{"mac":%q}`, name)), time.Now)
	if err := d.Enroll(s.Context()); err == nil {
		s.Fatal("device was let in unasked")
	}
	id := s.ID(name)
	if err := s.SetDeviceStatus(s.Context(), id, client.NewStatus{Status: "accepted"}, client.SetDeviceStatusParams{}); err != nil {
		s.Fatal(err)
	}
	if err := d.Enroll(s.Context()); err != nil {
		s.Fatal(err)
	}
	return d, id
}

var old = fleet.Report{Type: "x", Provides: map[string]string{"artifact_name": "r1"}}

// offered deploys a release to a device that asks for it.
func (s scene) offered(d *mqttdevice.Device, id, release string) frontendtest.Offer {
	s.Helper()
	s.Release(release, "x")
	_, err := s.CreateDeployment(s.Context(), client.NewDeployment{Release: release, Target: client.Target{Devices: []string{id}}}, client.CreateDeploymentParams{})
	if err != nil {
		s.Fatal(err)
	}
	o, err := d.CheckIn(s.Context(), old)
	if err != nil || o.Ref == "" {
		s.Fatalf("CheckIn = %+v, %v, want an offer", o, err)
	}
	return o
}

// history is everything that the fleet recorded of a device's assignment.
func (s scene) history(o frontendtest.Offer, id string) string {
	s.Helper()
	log := []byte("no log")
	if r, err := s.ShowLog(s.Context(), string(o.Deployment), id); err == nil {
		defer r.Close()
		if log, err = io.ReadAll(r); err != nil {
			s.Fatal(err)
		}
	}
	page, err := s.ListTransitions(s.Context(), string(o.Deployment), id)
	if err != nil {
		s.Fatal(err)
	}
	return fmt.Sprintf("%+v %s", page.Items, log)
}

func (s scene) report(d *mqttdevice.Device, o frontendtest.Offer, states ...deployment.State) {
	s.Helper()
	for _, state := range states {
		if err := d.Progress(s.Context(), fleet.Progress{Deployment: o.Deployment, State: state}); err != nil {
			s.Fatalf("Progress(%s): %v", state, err)
		}
	}
}

// settled waits until what was said before was worked on: a device's turn is
// over when its next message is answered.
func (s scene) settled(d *mqttdevice.Device, o frontendtest.Offer, state deployment.State) {
	s.Helper()
	s.report(d, o, state)
}

// from returns what a device said, as it stood on the wire.
func (s scene) from(d *mqttdevice.Device) (said []hostile.Message) {
	for _, m := range s.enemy.Heard() {
		if m.Topic == topic.Up(d.ID()) {
			said = append(said, m)
		}
	}
	return said
}

// TestReplayOfEveryFrame of a device, in its session and after it: the fleet
// records nothing twice.
func TestReplayOfEveryFrame(t *testing.T) {
	s := newScene(t)
	d, id := s.member("a")
	o := s.offered(d, id, "r2")
	s.report(d, o, deployment.Downloading, deployment.Installing, deployment.Rebooting)
	for _, line := range []string{"first", "second"} {
		if err := d.Log(t.Context(), o.Deployment, line); err != nil {
			t.Fatal(err)
		}
	}
	before := s.history(o, id)
	frames := s.from(d)
	if len(frames) < 5 {
		t.Fatalf("%d frames heard, want a handshake and four messages", len(frames))
	}
	for _, m := range frames {
		s.enemy.Say(hostile.Message{Topic: m.Topic, Payload: m.Payload})
	}
	s.settled(d, o, deployment.Rebooting)
	if after := s.history(o, id); after != before {
		t.Errorf("replayed frames changed the record:\n%s\nwas\n%s", after, before)
	}
	if err := s.Stop(); err != nil { // the server forgets every session
		t.Fatal(err)
	}
	s.World.Run()
	for _, m := range frames {
		s.enemy.Say(hostile.Message{Topic: m.Topic, Payload: m.Payload})
	}
	if err := d.Rejoin(t.Context(), d.ServerKey()); err != nil {
		t.Fatalf("the device itself is locked out by replayed handshakes: %v", err)
	}
	s.settled(d, o, deployment.Rebooting)
	if after := s.history(o, id); after != before {
		t.Errorf("frames of an old session changed the record:\n%s\nwas\n%s", after, before)
	}
}

// TestFrameOfAnotherDevice: what one device says is never taken as another's.
func TestFrameOfAnotherDevice(t *testing.T) {
	s := newScene(t)
	a, aID := s.member("a")
	b, bID := s.member("b")
	oa, ob := s.offered(a, aID, "r2"), s.offered(b, bID, "r3")
	s.enemy.Mangle(func(m hostile.Message) []hostile.Message {
		if m.Topic != topic.Up(a.ID()) {
			return []hostile.Message{m}
		}
		other := m
		other.Topic = topic.Up(b.ID())
		return []hostile.Message{other, m}
	})
	before := s.history(ob, bID)
	s.report(a, oa, deployment.Downloading, deployment.Failed)
	s.enemy.Mangle(nil)
	s.report(b, ob, deployment.Downloading)
	if after := s.history(ob, bID); strings.Contains(after, "failed") || after == before {
		t.Errorf("b's record after a's reports came as b's: %s", after)
	}
}

// TestFlippedBits in everything that a device says: nothing of it is taken,
// and the device's own frames still are.
func TestFlippedBits(t *testing.T) {
	s := newScene(t)
	d, id := s.member("a")
	o := s.offered(d, id, "r2")
	s.enemy.Mangle(func(m hostile.Message) (out []hostile.Message) {
		if m.Topic == topic.Up(d.ID()) {
			for i := range m.Payload {
				bad := m
				bad.Payload = append([]byte(nil), m.Payload...)
				bad.Payload[i] ^= 1 << (i % 8)
				out = append(out, bad)
			}
		}
		return append(out, m)
	})
	s.report(d, o, deployment.Downloading, deployment.Installing)
	page, err := s.ListTransitions(t.Context(), string(o.Deployment), id)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(page.Items); n != 3 { // offered, downloading, installing
		t.Errorf("%d transitions, want 3: %+v", n, page.Items)
	}
}

// TestEnrolmentOfAStolenName: a request is its signer's, whoever publishes it.
func TestEnrolmentOfAStolenName(t *testing.T) {
	s := newScene(t)
	victim, _ := s.member("victim")
	s.enemy.Forget()
	thief := mqttdevice.New(t, s.enemy.Addr(), `{"mac":"thief"}`, time.Now)
	if err := thief.Enroll(t.Context()); err == nil {
		t.Fatal("the thief was let in")
	}
	asked := 0
	for _, m := range s.enemy.Heard() {
		if m.Topic == topic.EnrollUp(thief.ID()) {
			asked++
			s.enemy.Say(hostile.Message{Topic: topic.EnrollUp(victim.ID()), Payload: m.Payload})
		}
	}
	if asked == 0 {
		t.Fatal("no enrolment was heard")
	}
	if o, err := victim.CheckIn(t.Context(), old); err != nil || o.Deployment != "" {
		t.Errorf("CheckIn of the victim = %+v, %v, want nothing to do", o, err)
	}
}

// TestFloodOfStrangers does not keep members out.
func TestFloodOfStrangers(t *testing.T) {
	s := newScene(t)
	d, _ := s.member("a")
	frames := s.from(d)
	for i := range 5000 {
		s.enemy.Say(hostile.Message{Topic: topic.Up(fmt.Sprintf("%032x", i)), Payload: frames[0].Payload})
		s.enemy.Say(hostile.Message{Topic: topic.Get("nothing", d.ID()), Payload: frames[0].Payload})
		s.enemy.Say(hostile.Message{Topic: topic.EnrollUp(fmt.Sprintf("%032x", i)), Payload: frames[0].Payload})
	}
	if o, err := d.CheckIn(t.Context(), old); err != nil || o.Deployment != "" {
		t.Errorf("CheckIn in a flood = %+v, %v, want nothing to do", o, err)
	}
}
