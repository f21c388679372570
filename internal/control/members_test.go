package control_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"slices"
	"testing"

	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/inventory"
)

// joined is an accepted device with an identity, and the member that it asks
// to be.
func (f *fixture) joined(i device.Identity, counter uint64, session string) fleet.Member {
	f.t.Helper()
	key := somePEM(f.t)
	cr := fleet.Credential{Identity: i, Key: key}
	id := f.enroll(cr, fleet.ErrPending)
	f.must(f.SetDeviceStatus(ctx, id, device.Accepted, "", ""))
	block, _ := pem.Decode([]byte(key))
	sum := sha256.Sum256(block.Bytes)
	return fleet.Member{ID: hex.EncodeToString(sum[:16]), Device: id, Key: key, Suite: 1, Session: []byte(session), Counter: counter}
}

func TestMemberIsReplacedOnlyByANewerRequest(t *testing.T) {
	f := newFixture(t)
	m := f.joined(identity(t, "1"), 5, "first")
	f.must(f.Enlist(ctx, m))
	f.must(f.Enlist(ctx, m)) // its answer was lost
	for _, counter := range []uint64{4, 5} {
		old := m
		old.Counter, old.Session = counter, []byte("another")
		if err := f.Enlist(ctx, old); !errors.Is(err, fleet.ErrStale) {
			t.Errorf("Enlist of another key with counter %d = %v, want %v", counter, err, fleet.ErrStale)
		}
	}
	m.Counter, m.Session = 6, []byte("second")
	f.must(f.Enlist(ctx, m))
	if got, err := f.Member(ctx, m.ID); err != nil || string(got.Session) != "second" || got.Device != m.Device {
		t.Errorf("Member = %+v, %v, want the second key", got, err)
	}
}

func TestMemberIsNamedByItsKeyAndAccepted(t *testing.T) {
	f := newFixture(t)
	m := f.joined(identity(t, "1"), 1, "key")
	stranger := m
	stranger.ID = "00000000000000000000000000000000"
	if err := f.Enlist(ctx, stranger); err == nil {
		t.Error("Enlist under a name that is not its key's was taken")
	}
	stranger = f.joined(identity(t, "2"), 1, "key")
	stranger.Device = m.Device
	if err := f.Enlist(ctx, stranger); !errors.Is(err, fleet.ErrUnauthorized) {
		t.Errorf("Enlist with another's device = %v, want %v", err, fleet.ErrUnauthorized)
	}
	f.must(f.Enlist(ctx, m))
	f.must(f.SetDeviceStatus(ctx, m.Device, device.Rejected, "", ""))
	if _, err := f.Member(ctx, m.ID); !errors.Is(err, fleet.ErrUnauthorized) {
		t.Errorf("Member that was rejected = %v, want %v", err, fleet.ErrUnauthorized)
	}
}

func TestChildrenAreThoseThatNameTheirGateway(t *testing.T) {
	f := newFixture(t)
	g := f.joined(`{"mac":"g","role":"gateway"}`, 1, "g")
	c := f.joined(device.Identity(`{"gateway":"`+g.ID+`","mac":"c"}`), 1, "c")
	other := f.joined(identity(t, "o"), 1, "o")
	for _, m := range []fleet.Member{g, c, other} {
		f.must(f.Enlist(ctx, m))
	}
	if got, err := f.Member(ctx, g.ID); err != nil || !got.Serves {
		t.Errorf("Member = %+v, %v, want a gateway", got, err)
	}
	if got, err := f.Children(ctx, g.ID); err != nil || !slices.Equal(got, []string{c.ID}) {
		t.Errorf("Children = %v, %v, want %s", got, err, c.ID)
	}
}

func TestNumbersGrow(t *testing.T) {
	f := newFixture(t)
	var last uint64
	for range 3 {
		n, err := f.Number(ctx)
		if err != nil || n <= last {
			t.Fatalf("Number = %d, %v after %d", n, err, last)
		}
		last = n
	}
}

// TestParentIsTheGatewayThatAnIdentityNames, by either name, as soon as it is
// known when the device says something new.
func TestParentIsTheGatewayThatAnIdentityNames(t *testing.T) {
	f := newFixture(t)
	parent := func(id device.ID, release string) device.ID {
		t.Helper()
		f.idle(id, report("x", release))
		d, err := f.Device(ctx, id)
		f.must(err)
		return d.Parent
	}
	child := f.joined(`{"child":"pump","gateway":"hall-3"}`, 1, "c")
	if got := parent(child.Device, "r1"); got != "" {
		t.Errorf("parent before the gateway joined = %s, want none", got)
	}
	g := f.joined(`{"gateway_id":"hall-3","role":"gateway"}`, 1, "g")
	f.must(f.Enlist(ctx, g))
	if got := parent(child.Device, "r2"); got != g.Device {
		t.Errorf("parent = %q, want %s", got, g.Device)
	}
	early := f.joined(`{"child":"valve","gateway":"hall-4"}`, 1, "e")
	parent(early.Device, "r1")
	g4 := f.joined(`{"gateway_id":"hall-4","role":"gateway"}`, 1, "g4")
	f.must(f.Describe(ctx, early.Device, inventory.Attributes{"a": "b"}, false))
	if d, err := f.Device(ctx, early.Device); err != nil || d.Parent != g4.Device {
		t.Errorf("parent after an inventory = %q, %v, want %s", d.Parent, err, g4.Device)
	}
	other := f.joined(device.Identity(`{"gateway":"`+g.ID+`","mac":"o"}`), 1, "o")
	if got := parent(other.Device, "r1"); got != g.Device {
		t.Errorf("parent by the gateway's name on the wire = %q, want %s", got, g.Device)
	}
	alone := f.joined(identity(t, "a"), 1, "a")
	if got := parent(alone.Device, "r1"); got != "" {
		t.Errorf("parent of a device behind nobody = %s", got)
	}
}
