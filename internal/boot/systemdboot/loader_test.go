package systemdboot_test

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/boot/boottest"
	"github.com/moult-ota/moult/internal/boot/systemdboot"
	"github.com/moult-ota/moult/internal/slot"
)

const dir = "loader/entries"

// sdBoot is what systemd-boot does with "default moult-*": of the names that
// match, those without starts left come last; else the highest wins, numbers
// compared as numbers. A counter goes one down, by renaming, before the start.
// It returns the name that it starts, as it was.
func sdBoot(t testing.TB, f *boottest.Folder) string {
	t.Helper()
	names, err := f.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	names = slices.DeleteFunc(names, func(n string) bool {
		_, ours := systemdboot.ParseEntry(n)
		return !ours
	})
	if len(names) == 0 {
		return ""
	}
	name := slices.MinFunc(names, func(a, b string) int {
		x, _ := systemdboot.ParseEntry(a)
		y, _ := systemdboot.ParseEntry(b)
		bad := func(e systemdboot.Entry) int {
			if e.Counted && e.Left == 0 {
				return 1
			}
			return 0
		}
		if bad(x) != bad(y) {
			return bad(x) - bad(y)
		}
		if x.Generation != y.Generation {
			return int(y.Generation) - int(x.Generation)
		}
		return strings.Compare(b, a)
	})
	e, _ := systemdboot.ParseEntry(name)
	if text, _ := f.Read(dir + "/" + name); string(text) != entry[e.Slot] {
		t.Fatalf("the loader starts %s, which holds %q", name, text)
	}
	if !e.Counted {
		return name
	}
	e.Left, e.Done = max(e.Left, 1)-1, e.Done+1
	if f.Rename(dir+"/"+name, dir+"/"+e.String()) != nil || f.Sync(dir) != nil {
		t.Fatal("the loader cannot rename")
	}
	return name
}

// entry is what the entry of a slot holds.
var entry = map[slot.Slot]string{slot.A: "title A\nlinux /a/vmlinuz\n", slot.B: "title B\nlinux /b/vmlinuz\n"}

func slotOf(name string) slot.Slot {
	e, _ := systemdboot.ParseEntry(name)
	return e.Slot
}

var (
	imageA = boot.Image{Digest: boot.Digest{1, 2, 3, 4, 5, 6, 7, 8}, Security: 4}
	imageB = boot.Image{Digest: boot.Digest{8, 7, 6, 5, 4, 3, 2, 1}, Security: 5}
	first  = boot.First(slot.A, imageA, 4)
)

func must(t testing.TB) func(boot.Vars, error) boot.Vars {
	return func(v boot.Vars, err error) boot.Vars {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// TestLoader fails when systemd-boot and the agent do not mean the same.
func TestLoader(t *testing.T) {
	f := on(blank())
	trial := must(t)(boot.Request(first, slot.B, imageB, 2))
	failed := must(t)(boot.RollBack(trial, slot.None, boot.ReasonTries))
	confirmed := must(t)(boot.Confirm(trial, slot.B, 5))
	rolled := must(t)(boot.RollBack(trial, slot.B, boot.ReasonSelfTest))
	left := func(n uint8) boot.Vars { v := trial; v.Tries = n; return v }
	steps := []struct {
		name string
		save *boot.Vars // before the start
		want string     // what starts
		load boot.Vars  // after it
	}{
		{"first", &first, "moult-1-a.conf", first},
		{"again", nil, "moult-1-a.conf", first},
		{"trial", &trial, "moult-2-b+2.conf", left(1)},
		{"its last start", nil, "moult-2-b+1-1.conf", left(0)},
		{"given up", nil, "moult-1-a.conf", failed},
		{"still", nil, "moult-1-a.conf", failed},
		{"released", ptr(must(t)(boot.Release(failed, slot.B, slot.A))), "moult-3-a.conf", first},
		{"second trial", &trial, "moult-4-b+2.conf", left(1)},
		{"rolled back", &rolled, "moult-5-a.conf", rolled},
		{"third trial", &trial, "moult-6-b+2.conf", left(1)},
		{"confirmed", &confirmed, "moult-7-b.conf", confirmed},
		{"stays", nil, "moult-7-b.conf", confirmed},
	}
	running := slot.A
	for _, tt := range steps {
		if tt.save != nil {
			if err := systemdboot.New(f, running).Save(*tt.save); err != nil {
				t.Fatalf("%s: Save = %v", tt.name, err)
			}
		}
		got := sdBoot(t, f)
		running = slotOf(got)
		v, err := systemdboot.New(f, running).Load()
		if got != tt.want || v != tt.load || err != nil {
			names, _ := f.List(dir)
			t.Fatalf("%s: starts %s, want %s\nLoad = %+v, %v\nwant   %+v\nof %q", tt.name, got, tt.want, v, err, tt.load, names)
		}
	}
}

func ptr(v boot.Vars) *boot.Vars { return &v }

// on is f with a power that stays on.
func on(f *boottest.Folder) *boottest.Folder {
	return f.Clone(boottest.NewPower(rand.New(rand.NewPCG(1, 0)))).(*boottest.Folder)
}

// TestLoaderAfterCut fails when a cut, at whatever operation of the agent or
// of systemd-boot, makes systemd-boot start what the agent does not know of,
// or makes either forget what was confirmed.
func TestLoaderAfterCut(t *testing.T) {
	trial := must(t)(boot.Request(first, slot.B, imageB, 2))
	confirmed := must(t)(boot.Confirm(trial, slot.B, 5))
	rolled := must(t)(boot.RollBack(trial, slot.B, boot.ReasonSelfTest))
	story := []boot.Vars{first, trial, rolled, trial, confirmed, must(t)(boot.Release(confirmed, slot.A, slot.B))}
	n := 0
	for seed := range uint64(60 / min(slower, 20)) {
		f := on(blank())
		for i, v := range story {
			before := boot.Vars{}
			if i > 0 {
				before = story[i-1]
			}
			for at := 1; ; at++ {
				power := boottest.NewPower(rand.New(rand.NewPCG(seed, uint64(at))))
				c := f.Clone(power).(*boottest.Folder)
				power.Restore(at, boottest.Regime(seed%7))
				if !power.Run(func() { save(t, c, v) }) {
					break
				}
				n++
				power.Restore(0, 0)
				afterCut(t, c, power, before, v)
			}
			save(t, f, v)
		}
	}
	t.Logf("%d power cuts", n)
}

func save(t *testing.T, f *boottest.Folder, v boot.Vars) {
	t.Helper()
	if err := systemdboot.New(f, slot.None).Save(v); err != nil {
		t.Fatal(err)
	}
}

func load(t *testing.T, f *boottest.Folder, running slot.Slot) boot.Vars {
	t.Helper()
	return must(t)(systemdboot.New(f, running).Load())
}

// afterCut starts f again and again, with a cut now and then while the loader
// counts.
func afterCut(t *testing.T, f *boottest.Folder, power *boottest.Power, before, after boot.Vars) {
	t.Helper()
	v := load(t, f, slot.None)
	if v != before && v != after {
		t.Fatalf("Load = %+v, want %+v or %+v", v, before, after)
	}
	current := v.Current
	for boots := range 8 {
		v, got := load(t, f, slot.None), ""
		names, _ := f.List(dir)
		power.Restore([]int{0, 1, 0, 2}[boots%4], boottest.Unstable)
		wasCut := power.Run(func() { got = sdBoot(t, f) })
		power.Restore(0, 0)
		want := v.Current
		if v.Trial.Valid() && v.Tries > 0 {
			want = v.Trial
		}
		if !wasCut && want.Valid() && slotOf(got) != want && !twice(names, got) {
			t.Fatalf("starts %q of %q, want slot %v: %+v", got, names, want, v)
		}
	}
	if v := load(t, f, current); current.Valid() && (v.Current != current || v.Trial != slot.None) {
		t.Fatalf("after 8 starts Load = %+v, want %v to run", v, current)
	}
}

// twice reports whether the loader left two names of one entry: it then starts
// that once more than it should. FORMAT.md says so.
func twice(names []string, of string) bool {
	e, _ := systemdboot.ParseEntry(of)
	n := 0
	for _, name := range names {
		if x, _ := systemdboot.ParseEntry(name); x.Generation == e.Generation && x.Slot == e.Slot {
			n++
		}
	}
	return n > 1
}

// TestLost fails when entries without their record count as a new device: the
// floor would be lost.
func TestLost(t *testing.T) {
	f := on(blank())
	save(t, f, first)
	if err := f.Write("loader/moult/vars1", []byte("spoilt")); err != nil {
		t.Fatal(err)
	}
	if v, err := systemdboot.New(f, slot.A).Load(); !errors.Is(err, systemdboot.ErrLost) {
		t.Errorf("Load without record = %+v, %v, want %v", v, err, systemdboot.ErrLost)
	}
	if err := systemdboot.New(f, slot.A).Save(first); !errors.Is(err, systemdboot.ErrLost) {
		t.Errorf("Save without record = %v, want %v", err, systemdboot.ErrLost)
	}
}

// TestBlessed fails when what systemd-bless-boot confirmed is still on trial.
func TestBlessed(t *testing.T) {
	f := on(blank())
	save(t, f, first)
	save(t, f, must(t)(boot.Request(first, slot.B, imageB, 2)))
	if err := f.Rename(dir+"/moult-2-b+2.conf", dir+"/moult-2-b.conf"); err != nil {
		t.Fatal(err)
	}
	if v := load(t, f, slot.B); v.Current != slot.B || v.Trial != slot.None || v.Slot(slot.B).State != boot.Valid {
		t.Errorf("Load = %+v, want B current and not confirmed", v)
	}
}

// TestTwoNames fails when a start that was counted is forgotten because the
// loader's renaming left the old name too.
func TestTwoNames(t *testing.T) {
	f := on(blank())
	save(t, f, first)
	save(t, f, must(t)(boot.Request(first, slot.B, imageB, 3)))
	for _, name := range []string{"/moult-2-b+2-1.conf", "/moult-2-b.conf"} {
		if err := f.Write(dir+name, nil); err != nil {
			t.Fatal(err)
		}
		if v := load(t, f, slot.B); v.Trial != slot.B || v.Tries != 2 {
			t.Errorf("Load = %+v, want B on trial with 2 tries", v)
		}
	}
}

func TestNoTemplate(t *testing.T) {
	f := on(boottest.NewFolder(nil))
	if err := systemdboot.New(f, slot.A).Save(first); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Save without template = %v, want %v", err, fs.ErrNotExist)
	}
	if v := load(t, f, slot.A); v != (boot.Vars{}) {
		t.Errorf("then Load = %+v", v)
	}
}

// TestRecordGolden fails when what older agents wrote can no longer be read.
func TestRecordGolden(t *testing.T) {
	r := systemdboot.Record{Generation: 7, Vars: must(t)(boot.Request(first, slot.B, imageB, 3))}
	line := "moult 7 1,A,B,3,4,0,confirmed.0.4.0102030405060708,valid.0.5.0807060504030201 4662533a"
	p := systemdboot.AppendRecord(nil, r)
	if got := strings.TrimRight(string(p), "\n"); got != line || len(p) != 512 {
		t.Errorf("AppendRecord = %q, %d bytes, want %q", got, len(p), line)
	}
	if got, err := systemdboot.ParseRecord(p); got != r || err != nil {
		t.Errorf("ParseRecord = %+v, %v, want %+v", got, err, r)
	}
	for i := range p {
		bad := slices.Clone(p)
		bad[i] ^= 1
		if got, err := systemdboot.ParseRecord(bad); err == nil {
			t.Errorf("ParseRecord with byte %d wrong = %+v", i, got)
		}
	}
}

func TestParseEntry(t *testing.T) {
	good := map[string]systemdboot.Entry{
		"moult-7-b+2-1.conf": {Generation: 7, Slot: slot.B, Counted: true, Left: 2, Done: 1},
		"moult-0-a.conf":     {Slot: slot.A},
		"MOULT-12-A+0.CONF":  {Generation: 12, Slot: slot.A, Counted: true},
	}
	for name, want := range good {
		got, ok := systemdboot.ParseEntry(name)
		if got != want || !ok || got.String() != strings.ToLower(name) {
			t.Errorf("ParseEntry(%s) = %+v, %v, want %+v", name, got, ok, want)
		}
	}
	for _, name := range []string{"moult-a.conf", "moult-1-c.conf", "moult-1-a", "moult-1-a+.conf", "moult-1-a+1-.conf", "moult-1-a+x.conf",
		"moult-1-a+1-1-1.conf", "moult--1-a.conf", "moult-2147483648-a.conf", "debian-1-a.conf", "moult-1-a.conf~"} {
		if e, ok := systemdboot.ParseEntry(name); ok {
			t.Errorf("ParseEntry(%s) = %+v, want none", name, e)
		}
	}
}
