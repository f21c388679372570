package variables_test

import (
	"errors"
	"maps"
	"testing"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/boot/variables"
	"github.com/moult-ota/moult/internal/slot"
)

var (
	parts  = variables.Parts{"2", "10"}
	imageA = boot.Image{Digest: boot.Digest{1, 2, 3, 4, 5, 6, 7, 8}, Security: 4}
	imageB = boot.Image{Digest: boot.Digest{8, 7, 6, 5, 4, 3, 2, 1}, Security: 5}
)

// memory is a Store that counts writes.
type memory struct {
	set    variables.Set
	writes int
}

func (m *memory) Read() (variables.Set, error) { return m.set, nil }
func (m *memory) Write(s variables.Set) error {
	m.writes++
	maps.Copy(m.set, s)
	return nil
}

func first() boot.Vars { return boot.First(slot.A, imageA, 4) }

// trial is first with B on trial.
func trial(tries uint8) boot.Vars {
	v := first()
	v.Trial, v.Tries = slot.B, tries
	v.Slots[1] = boot.SlotVars{State: boot.Valid, Image: imageB}
	return v
}

func change(v boot.Vars, f func(*boot.Vars)) boot.Vars { f(&v); return v }

func open(t *testing.T, m *memory) boot.Env {
	t.Helper()
	env, err := variables.Open(m, parts)
	if err != nil {
		t.Fatal(err)
	}
	return env
}

// TestGolden fails when what loaders and older agents read changes.
func TestGolden(t *testing.T) {
	m := &memory{set: variables.Set{"bootcmd": "run it"}}
	v := change(trial(3), func(v *boot.Vars) { v.Deployment = 0x1234 })
	if err := open(t, m).Save(v); err != nil {
		t.Fatal(err)
	}
	want := variables.Set{
		"bootcmd": "run it", "mender_boot_part": "10", "mender_boot_part_hex": "a", "upgrade_available": "1",
		"bootcount": "0", "bootlimit": "3",
		"moult_vars": "1,A,B,3,4,4660,confirmed.0.4.0102030405060708,valid.0.5.0807060504030201",
	}
	if !maps.Equal(m.set, want) {
		t.Errorf("Save(%+v) wrote %v, want %v", v, m.set, want)
	}
}

// TestSaveLoad fails when what was saved is not what is loaded, or when the
// same is written twice.
func TestSaveLoad(t *testing.T) {
	m := &memory{set: variables.Set{}}
	env := open(t, m)
	all := []boot.Vars{{}, {Floor: 9}, first(), trial(255), trial(1), trial(0), first(),
		change(trial(2), func(v *boot.Vars) { v.Current = slot.None }), {Deployment: 1 << 31, Slots: [2]boot.SlotVars{{State: boot.Failed, Reason: 255}}}}
	for _, v := range all {
		for range 2 {
			if err := env.Save(v); err != nil {
				t.Fatalf("Save(%+v) = %v", v, err)
			}
		}
		if got, err := env.Load(); got != v || err != nil {
			t.Errorf("Load = %+v, %v, want %+v", got, err, v)
		}
	}
	if m.writes != len(all)-1 {
		t.Errorf("%d writes, want %d", m.writes, len(all)-1)
	}
}

var failed = change(first(), func(v *boot.Vars) {
	v.Slots[1] = boot.SlotVars{State: boot.Failed, Reason: boot.ReasonTries, Image: imageB}
})

// TestLoaderChanged is the table of FORMAT.md: what a loader, or somebody by
// hand, made of what was saved.
func TestLoaderChanged(t *testing.T) {
	tests := []struct {
		name  string
		saved boot.Vars
		then  variables.Set
		want  boot.Vars
		err   error
	}{
		{"nothing happened", trial(3), nil, trial(3), nil},
		{"one start", trial(3), variables.Set{"bootcount": "1"}, trial(2), nil},
		{"all starts", trial(3), variables.Set{"bootcount": "3"}, trial(0), nil},
		{"one start too many", trial(3), variables.Set{"bootcount": "4"}, trial(0), nil},
		{"a start of none", trial(0), variables.Set{"bootcount": "2"}, trial(0), nil},
		{"no count", trial(3), variables.Set{"bootcount": "many"}, trial(0), nil},
		{"gave up", trial(3), variables.Set{"bootcount": "4", "mender_boot_part": "2", "upgrade_available": "0"}, failed, nil},
		{"gave up at once", trial(3), variables.Set{"mender_boot_part": "2", "upgrade_available": "0"}, failed, nil},
		{"confirmed by hand", trial(3), variables.Set{"upgrade_available": "0"}, change(trial(0), func(v *boot.Vars) { v.Current, v.Trial = slot.B, slot.None }), nil},
		{"switched by hand", failed, variables.Set{"mender_boot_part": "10"}, change(failed, func(v *boot.Vars) { v.Current = slot.B }), nil},
		{"somebody's update", first(), variables.Set{"mender_boot_part": "10", "upgrade_available": "1"}, boot.Vars{}, variables.ErrForeign},
		{"the other slot on trial", trial(3), variables.Set{"mender_boot_part": "2"}, boot.Vars{}, variables.ErrForeign},
		{"somebody's update of a device without image", boot.Vars{Floor: 1}, variables.Set{"upgrade_available": "1"}, boot.Vars{}, variables.ErrForeign},
		{"a part that is no slot", first(), variables.Set{"mender_boot_part": "3"}, boot.Vars{}, variables.ErrPart},
		{"text of another", first(), variables.Set{"moult_vars": "2,A"}, boot.Vars{}, variables.ErrText},
	}
	for _, tt := range tests {
		m := &memory{set: variables.Set{}}
		env := open(t, m)
		if err := env.Save(tt.saved); err != nil {
			t.Fatal(err)
		}
		maps.Copy(m.set, tt.then)
		got, err := env.Load()
		if got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%s: Load = %+v, %v\nwant %+v, %v", tt.name, got, err, tt.want, tt.err)
		}
		if err := env.Save(first()); !errors.Is(err, tt.err) {
			t.Errorf("%s: Save = %v, want %v", tt.name, err, tt.err)
		}
	}
}

// TestCanary fails when an update is set in variables that the loader does
// not read.
func TestCanary(t *testing.T) {
	m := &memory{set: variables.Set{"mender_check_saveenv_canary": "1"}}
	env := open(t, m)
	if err := env.Save(first()); !errors.Is(err, variables.ErrCanary) || m.writes != 0 {
		t.Errorf("Save without canary = %v with %d writes, want %v with none", err, m.writes, variables.ErrCanary)
	}
	m.set["mender_saveenv_canary"] = "1"
	if err := env.Save(first()); err != nil {
		t.Errorf("Save with canary = %v", err)
	}
}

func TestParts(t *testing.T) {
	for _, p := range []variables.Parts{{"2", "2"}, {"", "2"}, {"a", "b"}, {"02", "3"}, {"2", "-3"}, {"2", "70000"}} {
		if _, err := variables.Open(&memory{}, p); err == nil {
			t.Errorf("Open with parts %q = nil, want an error", p)
		}
	}
}

// FuzzVars fails when a text is accepted that would be written otherwise.
func FuzzVars(f *testing.F) {
	f.Add(string(variables.AppendVars(nil, boot.Vars{})))
	f.Add(string(variables.AppendVars(nil, trial(3))))
	f.Add("1,A,B,3,4,4660,confirmed.0.4.0102030405060708,valid.0.5.080706050403020g")
	f.Add("1,1,B,256,-4,4294967296,state(4).0.4.01,")
	f.Fuzz(func(t *testing.T, text string) {
		v, err := variables.ParseVars(text)
		if err != nil {
			return
		}
		if again := string(variables.AppendVars(nil, v)); again != text {
			t.Errorf("ParseVars accepts %q and writes it as %q", text, again)
		}
	})
}
