package agent

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

const envSize = 0x2000

// ubootBox is a device that U-Boot starts, which saved its environment once,
// in the given number of copies. Slot A is partition 2, slot B is 10.
func ubootBox(t *testing.T, copies int) *box {
	b := newBox(t)
	b.ok(os.WriteFile(b.path("text"), []byte("bootcmd=run it\nbootdelay=2\n"), 0o600))
	args := []string{"-s", fmt.Sprint(envSize), "-o", b.path("env0"), b.path("text")}
	config := fmt.Sprintf("%s 0 0x%x\n", b.path("env0"), envSize)
	if copies == 2 {
		args = append([]string{"-r"}, args...)
		config += fmt.Sprintf("%s 0 0x%x\n", b.path("env1"), envSize)
		b.ok(os.WriteFile(b.path("env1"), make([]byte, envSize), 0o600))
	}
	b.ok(os.WriteFile(b.path("fw_env.config"), []byte(config), 0o600))
	out, err := exec.Command("mkenvimage", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("mkenvimage: %v %s", err, out)
	}
	return b
}

func (b *box) uboot() []string {
	return []string{"--device-type", "bench", "--state-dir", b.path("state"), "--verify-keys", b.path("key.pem"), "--slot-a", b.path("a"),
		"--slot-b", b.path("b"), "--boot", "uboot", "--boot-env", b.path("fw_env.config"), "--boot-parts", "2,10"}
}

func (b *box) setupUBoot(want int) string {
	b.t.Helper()
	return b.run(want, append([]string{"setup", "--running", "A", "--identity", "serial=1", "--health-dir", b.path("health.d")}, b.uboot()...)...)
}

// printenv is the environment as fw_printenv reads it.
func (b *box) printenv() map[string]string {
	b.t.Helper()
	out, err := exec.Command("fw_printenv", "-c", b.path("fw_env.config")).Output()
	b.ok(err)
	vars := map[string]string{}
	for _, line := range strings.Split(string(out), "\n") {
		if name, value, ok := strings.Cut(line, "="); ok {
			vars[name] = value
		}
	}
	return vars
}

func (b *box) setenv(text string) {
	b.t.Helper()
	cmd := exec.Command("fw_setenv", "-c", b.path("fw_env.config"), "-s", "-")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.t.Fatalf("fw_setenv: %v %s", err, out)
	}
}

// bootScript does what contrib/u-boot/boot.cmd does, and returns the flag that
// says what runs.
func (b *box) bootScript() string {
	b.t.Helper()
	v := b.printenv()
	if v["upgrade_available"] == "1" {
		count, err := strconv.Atoi(v["bootcount"])
		b.ok(err)
		limit, err := strconv.Atoi(v["bootlimit"])
		b.ok(err)
		v["bootcount"] = fmt.Sprint(count + 1)
		if count+1 > limit {
			other := map[string]string{"2": "10", "10": "2"}
			v["mender_boot_part"], v["upgrade_available"], v["bootcount"] = other[v["mender_boot_part"]], "0", "0"
		}
		b.setenv("mender_boot_part=" + v["mender_boot_part"] + "\nupgrade_available=" + v["upgrade_available"] + "\nbootcount=" + v["bootcount"] + "\n")
	}
	return map[string]string{"2": "--running=A", "10": "--running=B"}[v["mender_boot_part"]]
}

// says fails unless fw_printenv has these, and U-Boot's own as they were.
func (b *box) says(want map[string]string) {
	b.t.Helper()
	got := b.printenv()
	want = maps.Clone(want)
	want["bootcmd"], want["bootdelay"] = "run it", "2"
	for name := range want {
		if got[name] != want[name] {
			b.t.Errorf("fw_printenv reads %s=%q, want %q", name, got[name], want[name])
		}
	}
}

func (b *box) starts(want string) string {
	b.t.Helper()
	got := b.bootScript()
	if got != want {
		b.t.Fatalf("U-Boot starts %s, want %s", got, want)
	}
	return got
}

func TestUBootByHand(t *testing.T) {
	for copies := 1; copies <= 2; copies++ {
		t.Run(fmt.Sprint("copies: ", copies), func(t *testing.T) {
			b := ubootBox(t, copies)
			out := b.setupUBoot(exitOK)
			if warned := strings.Contains(out, "single copy"); warned != (copies == 1) {
				t.Errorf("setup with %d copies said %q", copies, out)
			}
			b.says(map[string]string{"mender_boot_part": "2", "mender_boot_part_hex": "2", "upgrade_available": "0"})

			b.run(exitReboot, "install", b.pack("fw-2", true), "--reboot-exit-code")
			b.says(map[string]string{"mender_boot_part": "10", "mender_boot_part_hex": "a", "upgrade_available": "1", "bootcount": "0", "bootlimit": "3"})
			running := b.starts("--running=B")
			if p := b.shows(running); p.Trial != "B" || p.TriesLeft != 2 {
				t.Errorf("on trial: %+v", p)
			}
			b.run(exitOK, "commit", running)
			b.says(map[string]string{"mender_boot_part": "10", "upgrade_available": "0", "bootcount": "0"})
			running = b.starts("--running=B")

			b.run(exitOK, "install", b.pack("fw-3", true), running)
			running = b.starts("--running=A")
			b.run(exitReboot, "rollback", running, "--reboot-exit-code")
			b.says(map[string]string{"mender_boot_part": "10", "upgrade_available": "0"})
			running = b.starts("--running=B")
			if p := b.shows(running); p.Provides["artifact_name"] != "fw-2" || p.Slots[0].State != "failed" {
				t.Errorf("after the roll-back: %+v", p)
			}
		})
	}
}

func TestUBootGivesUp(t *testing.T) {
	b := ubootBox(t, 2)
	b.setupUBoot(exitOK)
	b.run(exitOK, "install", b.pack("fw-2", true))
	for range 3 {
		b.starts("--running=B") // and crashes
	}
	running := b.starts("--running=A")
	b.run(exitNothing, "commit", running)
	p := b.shows(running)
	if p.Record.Last.State != "rolled-back" || p.Provides["artifact_name"] != "fw-1" || p.Slots[1].Reason != "tries" {
		t.Errorf("after the trial: %+v", p)
	}
	b.run(exitOK, "install", b.pack("fw-3", true), running)
	b.run(exitOK, "commit", b.starts("--running=B"))
}

func TestUBootProvision(t *testing.T) {
	b := ubootBox(t, 2)
	b.run(exitOK, append([]string{"provision", b.pack("fw-1", true)}, b.uboot()...)...)
	b.says(map[string]string{"mender_boot_part": "2", "upgrade_available": "0"})
	b.setupUBoot(exitOK)
	b.shows(b.starts("--running=A"))
}

// TestUBootUnsound fails when an operator is not told what to do.
func TestUBootUnsound(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*box)
		want  string
	}{
		{"no environment", func(b *box) { b.ok(os.WriteFile(b.path("env0"), make([]byte, envSize), 0o600)) }, "run saveenv in U-Boot once"},
		{"no fw_env.config", func(b *box) { b.ok(os.Remove(b.path("fw_env.config"))) }, "boot_env names the fw_env.config"},
		{"no partition", func(b *box) { b.ok(os.Remove(b.path("env0"))) }, "env0: no such file"},
		{"one of two", func(b *box) {
			b.ok(os.WriteFile(b.path("fw_env.config"), fmt.Appendf(nil, "%s 0 0x%x\n", b.path("env0"), envSize), 0o600))
		}, "does not say what U-Boot has"},
		{"another's update", func(b *box) { b.setenv("mender_boot_part=10\nupgrade_available=1\n") }, "on trial that was not set here"},
	}
	for _, tt := range tests {
		b := ubootBox(t, 2)
		tt.spoil(b)
		if out := b.setupUBoot(exitError); !strings.Contains(out, tt.want) {
			t.Errorf("%s: setup said %q, want %q", tt.name, out, tt.want)
		}
		if out := b.run(exitOK, "show"); !strings.Contains(out, "PROBLEM") || !strings.Contains(out, tt.want) {
			t.Errorf("%s: show said %q, want %q", tt.name, out, tt.want)
		}
	}
}

// TestUBootAsksForNoRegister fails when setup asks on a terminal for what the
// loader does not have.
func TestUBootAsksForNoRegister(t *testing.T) {
	b := ubootBox(t, 2)
	person, tty := newConsole(t)
	fmt.Fprint(person.screen, strings.Repeat("\n", len(asked)))
	var out strings.Builder
	Main(append([]string{"setup", "--config", b.path("agent.json"), "--running", "A", "--identity", "serial=1"}, b.uboot()...), tty, &out, &out)
	if !strings.Contains(out.String(), "servers (") || strings.Contains(out.String(), "register (") {
		t.Errorf("setup asked %q, want servers and no register", out.String())
	}
}
