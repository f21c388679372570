package boot_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/boot/boottest"
	"github.com/moult-ota/moult/internal/slot"
)

var (
	imageA   = boot.Image{Digest: boot.Digest{0xa}, Security: 5}
	imageB   = boot.Image{Digest: boot.Digest{0xb}, Security: 6}
	errTorn  = errors.New("image is torn")
	errWrite = errors.New("flash does not write")
)

// vars is a device that runs A, with B as given.
func vars(b boot.SlotVars) boot.Vars {
	v := boot.First(slot.A, imageA, 3)
	v.Slots[1] = b
	return v
}

// trial is the same with B on trial.
func trial(tries uint8) boot.Vars {
	v := vars(boot.SlotVars{State: boot.Valid, Image: imageB})
	v.Trial, v.Tries = slot.B, tries
	return v
}

// change returns v after f.
func change(v boot.Vars, f func(*boot.Vars)) boot.Vars { f(&v); return v }

// slots is a Check of two slots: an image or an error each.
type slots struct{ a, b any }

func (s slots) check(which slot.Slot) (boot.Image, error) {
	x := s.a
	if which == slot.B {
		x = s.b
	}
	if err, bad := x.(error); bad {
		return boot.Image{}, err
	}
	return x.(boot.Image), nil
}

var decisions = []struct {
	name  string
	in    boot.Vars
	slots slots
	act   boot.Action
	slot  slot.Slot
	out   boot.Vars
}{
	{"never had an image", boot.Vars{}, slots{errTorn, errTorn},
		boot.Idle, slot.None, boot.Vars{}},
	{"no flag: run the current image", vars(boot.SlotVars{}), slots{imageA, errTorn},
		boot.Run, slot.A, vars(boot.SlotVars{})},
	{"flag and equal digest: run the received image, counted", trial(3), slots{imageA, imageB},
		boot.Run, slot.B, trial(2)},
	{"last try", trial(1), slots{imageA, imageB},
		boot.Run, slot.B, trial(0)},
	{"flag and torn image: run the current one", trial(3), slots{imageA, errTorn},
		boot.Run, slot.A, vars(boot.SlotVars{State: boot.Failed, Reason: boot.ReasonImage, Image: imageB})},
	{"flag and another complete image", trial(3), slots{imageA, imageA},
		boot.Run, slot.A, vars(boot.SlotVars{State: boot.Failed, Reason: boot.ReasonImage, Image: imageB})},
	{"flag and an image below the floor", change(trial(3), func(v *boot.Vars) { v.Floor = 7 }), slots{errTorn, imageB},
		boot.Recover, slot.None, change(vars(boot.SlotVars{State: boot.Failed, Reason: boot.ReasonFloor, Image: imageB}), func(v *boot.Vars) { v.Floor = 7 })},
	{"tries used up", trial(0), slots{imageA, imageB},
		boot.Run, slot.A, vars(boot.SlotVars{State: boot.Failed, Reason: boot.ReasonTries, Image: imageB})},
	{"first trial of an empty device fails", change(trial(0), func(v *boot.Vars) { v.Current = slot.None }), slots{errTorn, imageB},
		boot.Idle, slot.None, change(vars(boot.SlotVars{State: boot.Failed, Reason: boot.ReasonTries, Image: imageB}), func(v *boot.Vars) { v.Current = slot.None })},
	{"current is damaged, the other was confirmed", vars(boot.SlotVars{State: boot.Confirmed, Image: imageB}), slots{errTorn, imageB},
		boot.Run, slot.B, change(vars(boot.SlotVars{State: boot.Confirmed, Image: imageB}), func(v *boot.Vars) {
			v.Current, v.Slots[0] = slot.B, boot.SlotVars{State: boot.Failed, Reason: boot.ReasonImage, Image: imageA}
		})},
	{"current is damaged, the other was never confirmed", vars(boot.SlotVars{State: boot.Valid, Image: imageB}), slots{errTorn, imageB},
		boot.Recover, slot.None, vars(boot.SlotVars{State: boot.Valid, Image: imageB})},
	{"both are damaged", vars(boot.SlotVars{State: boot.Confirmed, Image: imageB}), slots{errTorn, errTorn},
		boot.Recover, slot.None, vars(boot.SlotVars{State: boot.Confirmed, Image: imageB})},
	{"current is damaged, the other is below the floor",
		change(vars(boot.SlotVars{State: boot.Confirmed, Image: boot.Image{Security: 2}}), func(*boot.Vars) {}), slots{errTorn, boot.Image{Security: 2}},
		boot.Recover, slot.None, vars(boot.SlotVars{State: boot.Confirmed, Image: boot.Image{Security: 2}})},
	{"current was swapped for another complete image", vars(boot.SlotVars{}), slots{imageB, errTorn},
		boot.Recover, slot.None, vars(boot.SlotVars{})},
}

// TestDecide is the loader's decision, case by case.
func TestDecide(t *testing.T) {
	for _, tt := range decisions {
		got := boot.Decide(tt.in, tt.slots.check)
		if got.Action != tt.act || got.Slot != tt.slot || got.Vars != tt.out {
			t.Errorf("%s: Decide(%+v) = %v %v %+v\nwant %v %v %+v", tt.name, tt.in, got.Action, got.Slot, got.Vars, tt.act, tt.slot, tt.out)
		}
		if got.Save != (tt.in != tt.out) || got.Why == "" {
			t.Errorf("%s: Decide: Save %v, Why %q, want Save %v and a reason", tt.name, got.Save, got.Why, tt.in != tt.out)
		}
	}
}

// stuck is an Env that reads and does not write, or does not read either.
type stuck struct {
	boottest.Memory
	load error
}

func (s *stuck) Load() (boot.Vars, error) { return s.Vars, s.load }
func (s *stuck) Save(boot.Vars) error     { return errWrite }

// TestBoot fails when a start on trial goes uncounted.
func TestBoot(t *testing.T) {
	good := slots{imageA, imageB}
	tests := []struct {
		name string
		env  boot.Env
		act  boot.Action
		slot slot.Slot
		err  error
	}{
		{"trial is counted", &boottest.Memory{Vars: trial(3)}, boot.Run, slot.B, nil},
		{"trial cannot be counted", &stuck{boottest.Memory{Vars: trial(3)}, nil}, boot.Run, slot.A, errWrite},
		{"end of trial cannot be saved", &stuck{boottest.Memory{Vars: trial(0)}, nil}, boot.Run, slot.A, errWrite},
		{"steady state writes nothing", &stuck{boottest.Memory{Vars: vars(boot.SlotVars{})}, nil}, boot.Run, slot.A, nil},
		{"register cannot be read", &stuck{load: errTorn}, boot.Recover, slot.None, errTorn},
	}
	for _, tt := range tests {
		got, err := boot.Boot(tt.env, good.check)
		if got.Action != tt.act || got.Slot != tt.slot || !errors.Is(err, tt.err) {
			t.Errorf("%s: Boot = %v %v, %v, want %v %v, %v", tt.name, got.Action, got.Slot, err, tt.act, tt.slot, tt.err)
		}
	}
	if v, _ := tests[0].env.Load(); v != trial(2) {
		t.Errorf("after Boot the register holds %+v, want %+v", v, trial(2))
	}
}

// TestCheckSlots fails when a slot passes that cannot be opened, is not
// complete or not signed.
func TestCheckSlots(t *testing.T) {
	empty := func(slot.Slot) (slot.File, error) { return boottest.NewDisk(3 * slot.DescriptorSize), nil }
	missing := func(slot.Slot) (slot.File, error) { return nil, errTorn }
	if _, err := boot.CheckSlots(missing, nil)(slot.A); !errors.Is(err, errTorn) {
		t.Errorf("check of a slot that cannot be opened = %v, want %v", err, errTorn)
	}
	asked := func(slot.Descriptor) error { t.Error("signature of an empty slot was asked for"); return nil }
	if _, err := boot.CheckSlots(empty, asked)(slot.A); !errors.Is(err, slot.ErrEmpty) {
		t.Errorf("check of an empty slot = %v, want %v", err, slot.ErrEmpty)
	}
	full := boottest.NewDisk(3 * slot.DescriptorSize).Clone(boottest.NewPower(nil)).(*boottest.Disk)
	w, err := slot.NewWriter(full, 0)
	if err != nil {
		t.Fatal(err)
	}
	d := slot.Descriptor{SHA256: [32]byte{0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
		0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55}} // of nothing
	if err := w.Finish(d); err != nil {
		t.Fatal(err)
	}
	open := func(slot.Slot) (slot.File, error) { return full, nil }
	if im, err := boot.CheckSlots(open, nil)(slot.A); err != nil || im != boot.ImageOf(d) {
		t.Errorf("check = %v, %v, want %v", im, err, boot.ImageOf(d))
	}
	unsigned := func(slot.Descriptor) error { return errTorn }
	if _, err := boot.CheckSlots(open, unsigned)(slot.A); !errors.Is(err, errTorn) {
		t.Errorf("check of an unsigned image = %v, want %v", err, errTorn)
	}
}

func TestNames(t *testing.T) {
	got := []string{boot.Confirmed.String(), boot.ReasonSelfTest.String(), boot.Recover.String(), boot.State(9).String(), imageA.Digest.String()}
	want := "confirmed self-test recover state(9) 0a00000000000000"
	if strings.Join(got, " ") != want {
		t.Errorf("names = %q, want %q", got, want)
	}
}
