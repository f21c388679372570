package sbl_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/sbl"
	"github.com/moult-ota/moult/internal/sbl/sbltest"
	"github.com/moult-ota/moult/internal/slot"
)

// A bench is a disk with an image in each slot.
type bench struct {
	*testing.T
	*sbltest.Disk
	a, b boot.Image
}

func newBench(t *testing.T) bench {
	d, err := sbltest.Make(filepath.Join(t.TempDir(), "disk"), 1<<20, 1<<20)
	x := bench{T: t, Disk: d}
	x.ok(err)
	x.a, err = d.Install("a", bytes.Repeat([]byte("old "), 9999), slot.Descriptor{Artifact: "v1", Security: 1})
	x.ok(err)
	x.b, err = d.Install("b", bytes.Repeat([]byte("new "), 9999), slot.Descriptor{Artifact: "v2", Security: 2})
	x.ok(err)
	return x
}

func (x bench) ok(err error) {
	x.Helper()
	if err != nil {
		x.Fatal(err)
	}
}

// trial is a register with slot B on trial.
func (x bench) trial(tries uint8) boot.Vars {
	v, err := boot.Request(boot.First(slot.A, x.a, 0), slot.B, x.b, max(tries, 1))
	x.ok(err)
	v.Tries = tries
	return v
}

// dry is what --dry-run prints, and its exit code.
func (x bench) dry(args ...string) (string, int) {
	var out bytes.Buffer
	code := sbl.Main(append(append([]string{"--dry-run"}, args...), x.Path), &out, &out)
	return out.String(), code
}

func TestDryRun(t *testing.T) {
	tests := []struct {
		name string
		vars func(x bench) boot.Vars
		do   func(x bench) error
		want string
	}{
		{"nothing yet", func(bench) boot.Vars { return boot.Vars{} }, nil, "decision     idle: no current image: waiting for an upgrade\n"},
		{"no flag", func(x bench) boot.Vars { return boot.First(slot.A, x.a, 0) }, nil, "decision     run slot A: A is current\n"},
		{"flag", func(x bench) boot.Vars { return x.trial(3) }, nil, "decision     run slot B: B is on trial, 2 tries left\n"},
		{"flag, tries used up", func(x bench) boot.Vars { return x.trial(0) }, nil, "decision     run slot A: B used up its tries; A is current\n"},
		{"flag, one bit flipped", func(x bench) boot.Vars { return x.trial(3) },
			func(x bench) error { return x.Flip("b", 20_000) }, "run slot A: B is unfit: verify image of 39996 bytes: image digest does not match; A is current\n"},
		{"flag, descriptor spoilt", func(x bench) boot.Vars { return x.trial(3) },
			func(x bench) error { return x.Flip("b", 1<<20-4096+20) }, "run slot A: B is unfit: parse slot descriptor: checksum: slot descriptor is damaged; A is current\n"},
		{"flag, another complete image", func(x bench) boot.Vars { return x.trial(3) }, func(x bench) error {
			_, err := x.Install("b", []byte("somebody else's"), slot.Descriptor{Security: 2})
			return err
		}, "run slot A: B is unfit: not the image that was asked for; A is current\n"},
		{"below the floor", func(x bench) boot.Vars { v := x.trial(3); v.Floor = 3; return v }, nil, "decision     recover: B is unfit: security version is below the floor; A is unfit"},
		{"current spoilt, other never confirmed", func(x bench) boot.Vars { return boot.First(slot.A, x.a, 0) },
			func(x bench) error { return x.Flip("a", 0) }, "decision     recover: A is unfit"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := newBench(t)
			x.ok(x.Register(tt.vars(x)))
			if tt.do != nil {
				x.ok(tt.do(x))
			}
			if out, code := x.dry(); code != 0 || !strings.Contains(out, tt.want) {
				t.Errorf("--dry-run = %d:\n%swant %s", code, out, tt.want)
			}
		})
	}
}

// TestDryRunWritesNothing fails when a look changes the disk, even one with a
// register that must settle.
func TestDryRunWritesNothing(t *testing.T) {
	x := newBench(t)
	x.ok(x.Register(x.trial(3)))
	x.ok(x.Flip("register", 4096+10)) // of the pair only one is left
	before, err := os.ReadFile(x.Path)
	x.ok(err)
	if out, code := x.dry(); code != 0 {
		t.Fatalf("--dry-run = %d: %s", code, out)
	}
	after, err := os.ReadFile(x.Path)
	x.ok(err)
	if !bytes.Equal(before, after) {
		t.Error("--dry-run changed the disk")
	}
}

func TestDryRunCommandLine(t *testing.T) {
	x := newBench(t)
	x.ok(x.Register(x.trial(3)))
	p := x.Parts["b"]
	want := "command line quiet moult.slot=B root=PARTUUID=" + p.PartUUID() + "\n"
	if out, _ := x.dry("--append", "quiet"); !strings.HasSuffix(out, want) {
		t.Errorf("--dry-run printed\n%swant at its end\n%s", out, want)
	}
}

func TestDryRunRefuses(t *testing.T) {
	x := newBench(t)
	if out, code := x.dry("--prefix", "other"); code != 1 || !strings.Contains(out, "look for other-a: partition is missing") {
		t.Errorf("without partitions: %d: %s", code, out)
	}
	if out, code := x.dry("--tries", "3"); code != 64 {
		t.Errorf("with a flag that is not known: %d: %s", code, out)
	}
	x.ok(os.Truncate(x.Path, 100<<10))
	if out, code := x.dry(); code != 1 || !strings.Contains(out, "no sound partition table") && !strings.Contains(out, "EOF") {
		t.Errorf("on half a disk: %d: %s", code, out)
	}
}

// TestDryRunRecovery fails when an integrator is not told what a board that
// has nothing to start will do.
func TestDryRunRecovery(t *testing.T) {
	x := newBench(t)
	x.keys(x.Path + ".pem")
	url := "http://10.0.2.2/{device_type}"
	tests := []struct {
		name string
		vars boot.Vars
		args []string
		want string
	}{
		{"not asked for", boot.Vars{}, nil, "recovery     none is set\n"},
		{"no key", boot.Vars{}, []string{"--recover", url, "--device-type", "rig"}, "recovery     refused without a key"},
		{"key that is missing", boot.Vars{}, []string{"--recover", url, "--device-type", "rig", "--verify-keys", x.Path + ".missing"}, "no such file"},
		{"no device type", boot.Vars{}, []string{"--recover", url, "--verify-keys", x.Path + ".pem"}, "recovery     refused: set device-type\n"},
		{"blank", boot.Vars{}, []string{"--recover", url, "--device-type", "rig", "--verify-keys", x.Path + ".pem"}, "recovery     http://10.0.2.2/rig, into slot A\n"},
		{"current is not signed", boot.First(slot.A, x.a, 0), []string{"--recover", url, "--device-type", "rig", "--verify-keys", x.Path + ".pem"}, "recovery     http://10.0.2.2/rig, into slot B\n"},
	}
	for _, tt := range tests {
		x.ok(x.Register(tt.vars))
		if out, code := x.dry(tt.args...); code != 0 || !strings.Contains(out, tt.want) {
			t.Errorf("%s: --dry-run = %d:\n%swant %s", tt.name, code, out, tt.want)
		}
	}
}
