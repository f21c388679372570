package control_test

import (
	"errors"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/control"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/inventory"
)

func (f *fixture) enroll(cr fleet.Credential, want error) device.ID {
	f.t.Helper()
	id, err := f.Enroll(ctx, cr)
	if !errors.Is(err, want) || want == nil && err != nil {
		f.t.Fatalf("Enroll = %s, %v, want %v", id, err, want)
	}
	return id
}

func TestRejectedDeviceStaysOutUntilAccepted(t *testing.T) {
	f := newFixture(t)
	cr := fleet.Credential{Identity: identity(t, "1"), Key: somePEM(t)}
	id := f.enroll(cr, fleet.ErrPending)
	f.must(f.SetDeviceStatus(ctx, id, device.Rejected, "", ""))
	f.enroll(cr, fleet.ErrRejected)
	f.must(f.SetDeviceStatus(ctx, id, device.Accepted, "", ""))
	f.enroll(cr, nil)
	f.idle(id, report("x", "r1"))
	f.must(f.SetDeviceStatus(ctx, id, device.Rejected, "", ""))
	if _, err := f.CheckIn(ctx, id, report("x", "r1")); !errors.Is(err, fleet.ErrUnauthorized) {
		t.Errorf("CheckIn of a device rejected since = %v, want ErrUnauthorized", err)
	}
	if err := f.Describe(ctx, id, inventory.Attributes{"a": "b"}, false); !errors.Is(err, fleet.ErrUnauthorized) {
		t.Errorf("Describe by a rejected device = %v, want ErrUnauthorized", err)
	}
}

// An attacker who knows a device's identity comes with a key of his own.
func TestSecondKeyWaitsAndReplacesOnlyByAcceptance(t *testing.T) {
	f := newFixture(t)
	old := fleet.Credential{Identity: identity(t, "1"), Key: somePEM(t)}
	id := f.enroll(old, fleet.ErrPending)
	f.must(f.SetDeviceStatus(ctx, id, device.Accepted, "", ""))
	_, secret, err := f.CreateEnrolmentToken(ctx, "line", 0, 0)
	f.must(err)
	other := fleet.Credential{Identity: old.Identity, Key: somePEM(t), Token: secret}
	f.enroll(other, fleet.ErrPending)
	f.enroll(old, nil)
	f.must(f.SetDeviceStatus(ctx, id, device.Accepted, "", "")) // the newest key
	f.enroll(other, nil)
	f.enroll(old, fleet.ErrRejected)
	d, err := f.Device(ctx, id)
	f.must(err)
	if len(d.Keys) != 2 || d.Keys[0].Status != device.Rejected || d.Keys[1].Status != device.Accepted {
		t.Errorf("Keys = %+v, want the old rejected and the new accepted", d.Keys)
	}
}

func TestManyKeysOfOneIdentityStayBounded(t *testing.T) {
	f := newFixture(t)
	cr := fleet.Credential{Identity: identity(t, "1"), Key: somePEM(t)}
	id := f.enroll(cr, fleet.ErrPending)
	f.must(f.SetDeviceStatus(ctx, id, device.Accepted, "", ""))
	for range 40 {
		f.enroll(fleet.Credential{Identity: cr.Identity, Key: somePEM(t)}, fleet.ErrPending)
	}
	f.enroll(cr, nil)
	d, err := f.Device(ctx, id)
	f.must(err)
	if len(d.Keys) != 16 {
		t.Errorf("%d keys, want 16", len(d.Keys))
	}
}

func TestPendingDevicesAreBounded(t *testing.T) {
	f := newFixture(t, func(o *control.Options) { o.MaxPending = 2 })
	for _, mac := range []string{"1", "2"} {
		f.enroll(fleet.Credential{Identity: identity(t, mac), Key: somePEM(t)}, fleet.ErrPending)
	}
	f.enroll(fleet.Credential{Identity: identity(t, "3"), Key: somePEM(t)}, fleet.ErrBusy)
}

func TestPreauthorizedDeviceIsAcceptedAtOnce(t *testing.T) {
	f := newFixture(t)
	key := somePEM(t)
	id, err := f.Preauthorize(ctx, `{ "mac": "1" }`, key)
	f.must(err)
	f.enroll(fleet.Credential{Identity: identity(t, "1"), Key: somePEM(t)}, fleet.ErrPending)
	if got := f.enroll(fleet.Credential{Identity: identity(t, "1"), Key: key}, nil); got != id {
		t.Errorf("Enroll = %s, want the preauthorized %s", got, id)
	}
	f.idle(id, report("x", "r1"))
	if _, err := f.Preauthorize(ctx, identity(t, "1"), key); !errors.Is(err, control.ErrConflict) {
		t.Errorf("Preauthorize a known identity = %v, want ErrConflict", err)
	}
	if _, err := f.Preauthorize(ctx, identity(t, "2"), "no key"); !errors.Is(err, control.ErrInvalid) {
		t.Errorf("Preauthorize without a key = %v, want ErrInvalid", err)
	}
}

func TestEnrolmentToken(t *testing.T) {
	f := newFixture(t)
	token, secret, err := f.CreateEnrolmentToken(ctx, "line 1", 2, time.Hour)
	f.must(err)
	with := func(mac, token string) fleet.Credential {
		return fleet.Credential{Identity: identity(t, mac), Key: somePEM(t), Token: token}
	}
	one := with("1", secret)
	f.enroll(one, nil)
	f.enroll(one, nil) // a lost answer uses it up once
	f.enroll(with("2", secret+"x"), fleet.ErrPending)
	waits := with("3", "")
	f.enroll(waits, fleet.ErrPending)
	waits.Token = secret
	f.enroll(waits, nil)
	f.enroll(with("4", secret), fleet.ErrPending) // used up

	tokens, err := f.EnrolmentTokens(ctx)
	f.must(err)
	if len(tokens) != 1 || tokens[0].ID != token.ID || tokens[0].Used != 2 {
		t.Errorf("EnrolmentTokens = %+v, want one used twice", tokens)
	}
	_, late, err := f.CreateEnrolmentToken(ctx, "late", 0, time.Hour)
	f.must(err)
	f.clock.pass(time.Hour)
	f.enroll(with("5", late), fleet.ErrPending)
	f.must(f.DeleteEnrolmentToken(ctx, token.ID))
	if err := f.DeleteEnrolmentToken(ctx, token.ID); !errors.Is(err, control.ErrNotFound) {
		t.Errorf("DeleteEnrolmentToken again = %v, want ErrNotFound", err)
	}
}

func TestDecommissionedDeviceJoinsAnew(t *testing.T) {
	f := newFixture(t)
	cr := fleet.Credential{Identity: identity(t, "1"), Key: somePEM(t)}
	id := f.enroll(cr, fleet.ErrPending)
	f.must(f.SetDeviceStatus(ctx, id, device.Accepted, "", ""))
	f.must(f.Decommission(ctx, id))
	if err := f.Decommission(ctx, id); !errors.Is(err, control.ErrNotFound) {
		t.Errorf("Decommission again = %v, want ErrNotFound", err)
	}
	if anew := f.enroll(cr, fleet.ErrPending); anew == id {
		t.Error("a decommissioned device came back under its old id")
	}
	if _, err := f.CheckIn(ctx, id, report("x", "r1")); !errors.Is(err, fleet.ErrUnauthorized) {
		t.Errorf("CheckIn of the old id = %v, want ErrUnauthorized", err)
	}
	n, err := f.CountDevices(ctx)
	f.must(err)
	if n[device.Decommissioned] != 1 || n[device.Pending] != 1 || n[device.Accepted] != 0 {
		t.Errorf("CountDevices = %v, want one decommissioned and one pending", n)
	}
}

func TestSetDeviceStatusRefuses(t *testing.T) {
	f := newFixture(t)
	id := f.enroll(fleet.Credential{Identity: identity(t, "1"), Key: somePEM(t)}, fleet.ErrPending)
	d, err := f.Device(ctx, id)
	f.must(err)
	f.must(f.SetDeviceStatus(ctx, id, device.Accepted, d.Keys[0].Fingerprint, d.Version))
	for _, tt := range []struct {
		name             string
		id               device.ID
		status           device.Status
		fingerprint, tag string
		want             error
	}{
		{"changed meanwhile", id, device.Rejected, "", d.Version, control.ErrPrecondition},
		{"no such key", id, device.Accepted, "f", "", control.ErrNotFound},
		{"no such device", "x", device.Accepted, "", "", control.ErrNotFound},
		{"no such status", id, device.Pending, "", "", control.ErrInvalid},
	} {
		if err := f.SetDeviceStatus(ctx, tt.id, tt.status, tt.fingerprint, tt.tag); !errors.Is(err, tt.want) {
			t.Errorf("%s: SetDeviceStatus = %v, want %v", tt.name, err, tt.want)
		}
	}
}

// While an operator looks at a device, another key comes for it; what he then
// accepts must not be that one.
func TestKeyThatCameMeanwhileIsNotAcceptedUnseen(t *testing.T) {
	f := newFixture(t)
	id := f.enroll(fleet.Credential{Identity: identity(t, "1"), Key: somePEM(t)}, fleet.ErrPending)
	seen, err := f.Device(ctx, id)
	f.must(err)
	f.enroll(fleet.Credential{Identity: identity(t, "1"), Key: somePEM(t)}, fleet.ErrPending)
	if err := f.SetDeviceStatus(ctx, id, device.Accepted, "", seen.Version); !errors.Is(err, control.ErrPrecondition) {
		t.Errorf("SetDeviceStatus = %v, want ErrPrecondition", err)
	}
}

func TestEnrollRefusesWhatIsNoKey(t *testing.T) {
	f := newFixture(t)
	for _, key := range []string{"", "text", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"} {
		f.enroll(fleet.Credential{Identity: identity(t, "1"), Key: key}, control.ErrInvalid)
	}
}

func TestDevicesListsAllOnce(t *testing.T) {
	f := newFixture(t)
	want := map[device.ID]bool{}
	for _, mac := range []string{"1", "2", "3", "4", "5"} {
		id := f.accepted(mac, "x", "r1")
		want[id] = true
		f.must(f.Describe(ctx, id, inventory.Attributes{"mac": mac}, false))
	}
	f.accepted("6", "y", "r1")
	for _, q := range []control.DeviceQuery{{Type: "x"}, {Filter: "type:x"}, {Status: device.Accepted, Filter: "mac<6"}} {
		got := map[device.ID]bool{}
		q.Limit = 2
		for {
			l, err := f.Devices(ctx, q)
			f.must(err)
			for _, d := range l.Items {
				if got[d.ID] || !want[d.ID] {
					t.Errorf("Devices(%+v) gave %s, twice or in error", q, d.ID)
				}
				got[d.ID] = true
			}
			if q.Cursor = l.Next; q.Cursor == "" {
				break
			}
		}
		if len(got) != len(want) {
			t.Errorf("Devices(%+v) gave %d devices, want %d", q, len(got), len(want))
		}
	}
	for _, q := range []control.DeviceQuery{{Filter: "word"}, {Page: control.Page{Limit: 501}}, {Page: control.Page{Limit: -1}},
		{Page: control.Page{Cursor: "%%"}}, {Page: control.Page{Cursor: "cGFnZQ"}}} {
		if _, err := f.Devices(ctx, q); !errors.Is(err, control.ErrInvalid) {
			t.Errorf("Devices(%+v) = %v, want ErrInvalid", q, err)
		}
	}
}

func TestDescribe(t *testing.T) {
	f := newFixture(t)
	id := f.accepted("1", "x", "r1")
	f.must(f.Describe(ctx, id, inventory.Attributes{"a": "1", "b": "2"}, false))
	f.must(f.Describe(ctx, id, inventory.Attributes{"b": "3"}, false))
	d, err := f.Device(ctx, id)
	f.must(err)
	if len(d.Inventory) != 2 || d.Inventory["b"] != "3" {
		t.Errorf("Inventory = %v, want a=1 b=3", d.Inventory)
	}
	f.must(f.Describe(ctx, id, inventory.Attributes{"c": "4"}, true))
	if d, err = f.Device(ctx, id); err != nil || len(d.Inventory) != 1 {
		t.Errorf("Inventory after replacing = %v, %v, want c=4", d.Inventory, err)
	}
	if err := f.Describe(ctx, id, inventory.Attributes{"": "x"}, false); !errors.Is(err, inventory.ErrAttribute) {
		t.Errorf("Describe with a bad name = %v, want ErrAttribute", err)
	}
}
