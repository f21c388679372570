package agent

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/boot/grub"
	"github.com/moult-ota/moult/internal/boot/script"
	"github.com/moult-ota/moult/internal/boot/systemdboot"
	"github.com/moult-ota/moult/internal/boot/variables"
)

// A bench is a device with one of the boot loaders.
type bench struct {
	*box
	kind  string
	env   string        // boot_env
	start func() string // lets the loader decide: A or B
}

// benches are what a loader does to the variables that the agent left. GRUB's
// own code, and systemd-boot's rules, are in the tests of their packages.
var benches = map[string]func(*box) *bench{
	"grub": func(b *box) *bench {
		b.ok(os.Mkdir(b.path("grub"), 0o755))
		return &bench{b, "grub", b.path("grub"), func() string {
			s, err := grub.Open(b.path("grub"))
			b.ok(err)
			defer s.Close()
			return count(b, s)
		}}
	},
	"script": func(b *box) *bench {
		b.ok(os.Mkdir(b.path("kept"), 0o755))
		b.t.Setenv("MOULT_BOOT_FOLDER", b.path("kept"))
		program, err := filepath.Abs("../../contrib/script/two-files.sh")
		b.ok(err)
		return &bench{b, "script", program, func() string { return count(b, script.Store{Program: program}) }}
	},
	"systemd-boot": func(b *box) *bench {
		b.ok(os.MkdirAll(b.path("esp/loader/moult"), 0o755))
		for _, name := range []string{"a", "b"} {
			b.ok(os.WriteFile(b.path("esp/loader/moult/"+name+".conf"), []byte("linux /"+name+"/vmlinuz\n"), 0o644))
		}
		b.ok(os.WriteFile(b.path("esp/loader/loader.conf"), []byte("default moult-*\n"), 0o644))
		return &bench{b, "systemd-boot", b.path("esp"), func() string { return countNames(b) }}
	},
}

// count is a loader's part in Mender's variables.
func count(b *box, s variables.Store) string {
	b.t.Helper()
	v, err := s.Read()
	b.ok(err)
	if v["upgrade_available"] == "1" {
		n, _ := strconv.Atoi(v["bootcount"])
		limit, _ := strconv.Atoi(v["bootlimit"])
		v["bootcount"] = strconv.Itoa(n + 1)
		if n+1 > limit {
			other := map[string]string{"2": "3", "3": "2"}
			v["mender_boot_part"], v["upgrade_available"] = other[v["mender_boot_part"]], "0"
		}
		b.ok(s.Write(v))
	}
	return map[string]string{"2": "A", "3": "B"}[v["mender_boot_part"]]
}

// countNames is systemd-boot's part.
func countNames(b *box) string {
	b.t.Helper()
	list, err := os.ReadDir(b.path("esp/loader/entries"))
	b.ok(err)
	var all []systemdboot.Entry
	for _, f := range list {
		if e, ok := systemdboot.ParseEntry(f.Name()); ok {
			all = append(all, e)
		}
	}
	e := slices.MaxFunc(all, func(x, y systemdboot.Entry) int {
		if bad := func(e systemdboot.Entry) bool { return e.Counted && e.Left == 0 }; bad(x) != bad(y) {
			return map[bool]int{true: -1, false: 1}[bad(x)]
		}
		return int(x.Generation) - int(y.Generation)
	})
	if old := e.String(); e.Counted {
		e.Left, e.Done = e.Left-1, e.Done+1
		b.ok(os.Rename(b.path("esp/loader/entries/"+old), b.path("esp/loader/entries/"+e.String())))
	}
	return e.Slot.String()
}

func (b *bench) setup() {
	b.t.Helper()
	out := b.run(exitOK, "setup", "--device-type", "bench", "--state-dir", b.path("state"), "--verify-keys", b.path("key.pem"),
		"--slot-a", b.path("a"), "--slot-b", b.path("b"), "--running", "A", "--identity", "serial=1", "--health-dir", b.path("health.d"),
		"--boot", b.kind, "--boot-env", b.env, "--boot-parts", "2,3")
	if !strings.Contains(out, "fw-1") {
		b.t.Errorf("setup said %q", out)
	}
}

// starts lets the loader decide and wants a slot; it returns the flag that
// says what runs.
func (b *bench) starts(want string) string {
	b.t.Helper()
	if got := b.start(); got != want {
		b.t.Fatalf("%s starts %s, want %s", b.kind, got, want)
	}
	return "--running=" + want
}

// TestLoaders is an update through each boot loader that is not moult-sbl:
// confirmed, rolled back, and never confirmed.
func TestLoaders(t *testing.T) {
	for kind, with := range benches {
		t.Run(kind, func(t *testing.T) {
			b := with(newBox(t))
			b.setup()
			b.starts("A")

			b.run(exitReboot, "install", b.pack("fw-2", true), "--reboot-exit-code")
			running := b.starts("B")
			b.run(exitOK, "commit", running)
			running = b.starts("B")
			p := b.shows(running)
			if p.Provides["artifact_name"] != "fw-2" || p.Running != "B" || p.Trial != "none" || !p.Slots[1].Current {
				t.Errorf("after commit: %+v", p)
			}

			b.run(exitOK, "install", b.pack("fw-3", true), running)
			running = b.starts("A")
			b.run(exitReboot, "rollback", running, "--reboot-exit-code")
			running = b.starts("B")
			if p := b.shows(running); p.Provides["artifact_name"] != "fw-2" || p.Trial != "none" {
				t.Errorf("after rollback: %+v", p)
			}

			b.run(exitOK, "install", b.pack("fw-4", true), running)
			for range boot.DefaultTries {
				b.starts("A")
			}
			running = b.starts("B")
			b.run(exitNothing, "commit", running)
			if p := b.shows(running); p.Provides["artifact_name"] != "fw-2" || p.Record.Last.State != "rolled-back" {
				t.Errorf("after the trial: %+v", p)
			}
		})
	}
}

// TestLoaderMissing fails when setup does not say what is missing.
func TestLoaderMissing(t *testing.T) {
	tests := []struct{ kind, env, says string }{
		{"grub", "", "set boot_env"},
		{"grub", "no-such-folder", "create GRUB environment"},
		{"systemd-boot", "", "set boot_env"},
		{"systemd-boot", ".", "loader/moult/a.conf"},
		{"script", "", "set boot_env"},
		{"script", "no-such-program", "no such file"},
		{"lilo", "", "want one of grub, register, script, systemd-boot, uboot"},
	}
	for _, tt := range tests {
		b := newBox(t)
		env := tt.env
		if env != "" {
			env = b.path(env)
		}
		out := b.run(exitError, "setup", "--device-type", "bench", "--state-dir", b.path("state"), "--verify-keys", b.path("key.pem"),
			"--slot-a", b.path("a"), "--slot-b", b.path("b"), "--running", "A", "--identity", "serial=1",
			"--boot", tt.kind, "--boot-env", env, "--boot-parts", "2,3")
		if !strings.Contains(out, tt.says) {
			t.Errorf("setup with %s at %q said %q, want %q", tt.kind, tt.env, out, tt.says)
		}
	}
}

// TestLoadersProvision fails when a factory, where nothing of the device runs,
// cannot put the first image there.
func TestLoadersProvision(t *testing.T) {
	for kind, with := range benches {
		t.Run(kind, func(t *testing.T) {
			b := with(blankBox(t))
			b.provision(exitOK, b.pack("fw-1", true), "--verify-keys", b.path("key.pem"), "--register", "",
				"--boot", b.kind, "--boot-env", b.env, "--boot-parts", "2,3")
			b.starts("A")
			b.setup()
			b.starts("A")
		})
	}
}
