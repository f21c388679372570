package sbl

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/boot/boottest"
	"github.com/moult-ota/moult/internal/slot"
)

const room = 2 * slot.DescriptorSize

// noise is text that does not pack.
func noise(n int) string {
	p, rng := make([]byte, n), rand.NewPCG(7, uint64(n))
	for i := range p {
		p[i] = byte(rng.Uint64())
	}
	return string(p)
}

// A scenario is a board with nothing to start.
type scenario struct {
	name  string
	setup func(t *testing.T, r *rig, s signer) boot.Vars
	into  slot.Slot // where the image must come
	worn  slot.Slot
}

// spoilt has an image in each slot that was confirmed there, and is not sound.
func spoilt(t *testing.T, r *rig, s signer) boot.Vars {
	v := boot.First(slot.A, r.install(t, slot.A, pack(t, s, "first", 2, nil)), 2)
	v.Slots[1] = boot.SlotVars{State: boot.Confirmed, Image: r.install(t, slot.B, pack(t, s, "second", 2, nil))}
	r.slots[0].Spoil(3)
	r.slots[1].Spoil(3)
	return v
}

var scenarios = []scenario{
	{"blank board", func(*testing.T, *rig, signer) boot.Vars { return boot.Vars{Floor: 2} }, slot.A, 0},
	{"blank board, slot A worn", func(*testing.T, *rig, signer) boot.Vars { return boot.Vars{Floor: 2} }, slot.B, slot.A},
	{"current is spoilt, the other was never written", func(t *testing.T, r *rig, s signer) boot.Vars {
		v := boot.First(slot.A, r.install(t, slot.A, pack(t, s, "first", 2, nil)), 2)
		r.slots[0].Spoil(3)
		return v
	}, slot.B, 0},
	{"current is spoilt, the other failed", func(t *testing.T, r *rig, s signer) boot.Vars {
		v := spoilt(t, r, s)
		v.Slots[1].State, v.Slots[1].Reason = boot.Failed, boot.ReasonSelfTest
		return v
	}, slot.B, 0},
	{"both are spoilt", spoilt, slot.B, 0},
	{"both are spoilt, the other worn", spoilt, slot.A, slot.B},
	{"current is B", func(t *testing.T, r *rig, s signer) boot.Vars {
		v := spoilt(t, r, s)
		v.Current = slot.B
		return v
	}, slot.A, 0},
	{"a recovery was cut before", func(t *testing.T, r *rig, s signer) boot.Vars {
		v := spoilt(t, r, s)
		r.install(t, slot.B, pack(t, s, noise(room/2), 2, nil))
		v.Slots[1] = boot.SlotVars{}
		return v
	}, slot.B, 0},
}

// prepare makes the board of a scenario, and the image that its server has.
func (sc scenario) prepare(t *testing.T, size int) (r *rig, image string) {
	t.Helper()
	s := newSigner(t)
	r = newRig(s, size+slot.DescriptorSize)
	if err := r.env().Save(sc.setup(t, r, s)); err != nil {
		t.Fatal(err)
	}
	image = noise(size - 100)
	r.file, r.worn = pack(t, s, image, 3, nil), sc.worn
	if d := r.boot(); d.Action == boot.Run {
		t.Fatalf("the board starts: %s", d.Why)
	}
	return r, image
}

// TestRecovery fails when a board that was given an image does not start it,
// or lost more than it had to.
func TestRecovery(t *testing.T) {
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			r, image := sc.prepare(t, room)
			before, kept := r.vars(), r.bytes(sc.into.Other())
			if err := r.recovery().run(); err != nil {
				t.Fatal(err)
			}
			v, d := r.vars(), r.boot()
			if d.Action != boot.Run || d.Slot != sc.into || !r.holds(sc.into, image) || d.Save {
				t.Errorf("after it the loader decides %v %v: %s; want to run %v", d.Action, d.Slot, d.Why, sc.into)
			}
			if v.Floor != before.Floor || v.Trial != slot.None || v.Slot(sc.into.Other()) != before.Slot(sc.into.Other()) && sc.worn == slot.None {
				t.Errorf("register %+v, was %+v", v, before)
			}
			if !bytes.Equal(r.bytes(sc.into.Other()), kept) {
				t.Errorf("slot %v was written, too", sc.into.Other())
			}
		})
	}
}

// TestRecoveryPowerCuts cuts the power at every write, every sync, and every
// piece that comes, in every regime. After each cut the loader starts an image
// that is whole, or nothing; and in the end, the new one.
func TestRecoveryPowerCuts(t *testing.T) {
	cuts := 0
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			r, image := sc.prepare(t, room)
			clean := r.clone(1)
			if err := clean.recovery().run(); err != nil {
				t.Fatal(err)
			}
			for at := 1; at <= clean.power.Ops; at++ {
				for how := boottest.Untouched; how <= boottest.Unstable; how++ {
					c := r.clone(uint64(at))
					c.power.Restore(at, how)
					if !c.power.Run(func() { _ = c.recovery().run() }) {
						t.Fatalf("operation %d of %d was not cut", at, clean.power.Ops)
					}
					cuts += 1 + c.settle(t, sc, image)
					if t.Failed() {
						t.Fatalf("cut at operation %d, %v", at, how)
					}
				}
			}
		})
	}
	t.Logf("%d power cuts", cuts)
}

// settle lets a board that was cut come to its end, through two more cuts.
func (r *rig) settle(t *testing.T, sc scenario, image string) (cuts int) {
	floor := uint32(2)
	for n := range 3 {
		r.power.Restore(0, 0)
		if n < 2 {
			r.power.Restore(1+r.power.Rand.IntN(40), boottest.Regime(r.power.Rand.IntN(int(boottest.Unstable)+1)))
		}
		var d boot.Decision
		cut := r.power.Run(func() {
			if d = r.boot(); d.Action != boot.Run {
				_ = r.recovery().run()
				d = r.boot()
			}
		})
		if d.Action == boot.Run && !r.holds(d.Slot, image) {
			t.Errorf("slot %v starts and is not the image: %s", d.Slot, d.Why)
		}
		if d.Vars.Floor < floor && d.Action == boot.Run {
			t.Errorf("the floor sank to %d", d.Vars.Floor)
		}
		if cut {
			cuts++
			continue
		}
		if d.Action != boot.Run || d.Slot != sc.into {
			t.Errorf("the board ends with %v %v: %s; it said\n%s", d.Action, d.Slot, d.Why, r.said.String())
		}
	}
	return cuts
}

// TestRecoveryKeepsCurrent fails when an image that could not be read for a
// while is gone afterwards, wherever the power was cut.
func TestRecoveryKeepsCurrent(t *testing.T) {
	sc := scenarios[2]
	r, _ := sc.prepare(t, room)
	clean := r.clone(1)
	if err := clean.recovery().run(); err != nil {
		t.Fatal(err)
	}
	for at := 1; at <= clean.power.Ops; at++ {
		c := r.clone(uint64(at))
		c.power.Restore(at, boottest.Torn)
		c.power.Run(func() { _ = c.recovery().run() })
		c.power.Restore(0, 0)
		c.slots[0].Spoil(3) // it can be read again
		if d := c.boot(); d.Action != boot.Run {
			t.Fatalf("cut at operation %d: the image that is back does not start: %s", at, d.Why)
		}
	}
}

// TestRecoveryRefuses fails when something is installed that an update would
// not install, or when a refusal changes what a board has.
func TestRecoveryRefuses(t *testing.T) {
	s, other := newSigner(t), newSigner(t)
	with := func(f func(*artifact.Spec)) []byte { return pack(t, s, "sound", 3, f) }
	good := with(func(a *artifact.Spec) { a.Compression = artifact.None })
	changed := bytes.Replace(good, []byte("sound"), []byte("souNd"), 1)
	tests := []struct {
		name string
		file []byte
		with func(*rig, *recovery)
		want string
	}{
		{"no key", good, func(_ *rig, r *recovery) { r.keys = nil }, "without verify-keys"},
		{"no device type", good, func(_ *rig, r *recovery) { r.deviceType = "" }, "without verify-keys and device-type"},
		{"register is not read", good, func(r *rig, x *recovery) { x.env = denying{r.env(), errWorn} }, "without the register"},
		{"register is not written", good, func(r *rig, x *recovery) { x.env = mute{r.env()} }, "write boot register"},
		{"not signed", pack(t, nil, "image", 3, nil), nil, "no signature"},
		{"signed by another key", pack(t, other, "image", 3, nil), nil, "none of 1 keys"},
		{"another device type", with(func(a *artifact.Spec) { a.DeviceTypes = []string{"other"} }), nil, "device_type=other"},
		{"below the floor", pack(t, s, "image", 1, nil), nil, "security version 1 is below the rollback floor 2"},
		{"no security version", with(func(a *artifact.Spec) { a.Provides = nil }), nil, "below the rollback floor 2"},
		{"needs what is not there", with(func(a *artifact.Spec) { a.Depends = map[string][]string{"rootfs-image.checksum": {"x"}} }), nil, "artifact needs rootfs-image.checksum=x"},
		{"needs an earlier release", with(func(a *artifact.Spec) { a.DependsNames = []string{"v1"} }), nil, "artifact needs artifact_name=v1"},
		{"another payload", with(func(a *artifact.Spec) { a.PayloadType, a.Provides = "single-file", nil }), func(r *rig, _ *recovery) {
			v := r.vars()
			v.Floor = 0
			_ = r.env().Save(v)
		}, "it is a single-file, want a rootfs-image"},
		{"state scripts", with(func(a *artifact.Spec) {
			a.Scripts = []artifact.Script{{Name: "ArtifactInstall_Enter_00", Body: []byte("x")}}
		}), nil, "state scripts"},
		{"a signature that the slot has no room for", pack(t, verbose{}, "image", 3, nil),
			func(_ *rig, r *recovery) { r.keys = []artifact.Verifier{verbose{}} }, "its signed manifest has"},
		{"below the floor of the loader's options", pack(t, s, "sound", 3, nil), func(r *rig, _ *recovery) { r.floor = 4 }, "signed security version 3, floor 4 of the options"},
		{"too large", pack(t, s, noise(room+1), 3, nil), nil, slot.ErrTooLarge.Error()},
		{"breaks off", good[:len(good)-2000], nil, "trunc"},
		{"changed on the way", changed, nil, "rule checksum"},
		{"no artifact", []byte(strings.Repeat("<html>", 1000)), nil, "recover slot B"},
		{"nothing", nil, nil, "recover slot B"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(s, room+slot.DescriptorSize)
			v := spoilt(t, r, s)
			if err := r.env().Save(v); err != nil {
				t.Fatal(err)
			}
			current, other := r.bytes(slot.A), r.bytes(slot.B)
			r.file = tt.file
			x := r.recovery()
			if tt.with != nil {
				tt.with(r, &x)
			}
			if err := x.run(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("recovery = %v, want an error with %q", err, tt.want)
			}
			if d := r.boot(); d.Action != boot.Recover || d.Vars.Current != slot.A || d.Vars.Slots[0] != v.Slots[0] {
				t.Errorf("after it the loader decides %v: %s", d.Action, d.Why)
			}
			if !bytes.Equal(r.bytes(slot.A), current) {
				t.Error("the current slot was written")
			}
			if known := r.vars().Slots[1]; !bytes.Equal(r.bytes(slot.B), other) && known != (boot.SlotVars{}) {
				t.Errorf("slot B was written, and the register still knows it as %+v", known)
			}
		})
	}
}

// verbose is a key with long signatures.
type verbose struct{}

func (verbose) Sign([]byte) ([]byte, error)     { return make([]byte, 2200), nil }
func (verbose) Verify(_ []byte, _ []byte) error { return nil }

// mute is a register that is not written.
type mute struct{ boot.Env }

func (mute) Save(boot.Vars) error { return errWorn }

// TestRecoveryOfWornBoard fails when a board whose slots take no writes passes
// for a good one.
func TestRecoveryOfWornBoard(t *testing.T) {
	r, _ := scenarios[0].prepare(t, room)
	x := r.recovery()
	x.open = func(s slot.Slot) (slot.File, error) { return wornSlot{r.slots[s-1]}, nil }
	if err := x.run(); err == nil || !strings.Contains(err.Error(), "neither slot keeps an image") || strings.Count(r.said.String(), errWorn.Error()) != 2 {
		t.Errorf("recovery = %v, it said\n%s", err, r.said.String())
	}
	x.open = func(slot.Slot) (slot.File, error) { return nil, errors.New("no such device") }
	if err := x.run(); err == nil {
		t.Error("recovery without slots = nil, want an error")
	}
}
