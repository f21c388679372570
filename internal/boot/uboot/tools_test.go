package uboot_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moult-ota/moult/internal/boot/uboot"
	"github.com/moult-ota/moult/internal/boot/variables"
)

// An environment of a test: files as fw_env.config names them.
type environment struct {
	t      *testing.T
	config string
	store  *uboot.Store
}

// saved is an environment as U-Boot left it, in one file or in two.
func saved(t *testing.T, set variables.Set, copies int) *environment {
	t.Helper()
	dir := t.TempDir()
	var config strings.Builder
	for i := range copies {
		p, err := uboot.AppendCopy(nil, uboot.Copy{Set: set, Counter: uint8(i)}, size, copies == 2)
		path := filepath.Join(dir, fmt.Sprint("copy", i))
		if err == nil {
			err = os.WriteFile(path, p, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&config, "%s 0x0 0x%x\n", path, size)
	}
	return configured(t, filepath.Join(dir, "fw_env.config"), config.String())
}

func configured(t *testing.T, path, config string) *environment {
	t.Helper()
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := uboot.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return &environment{t, path, s}
}

// tool runs one of Debian's programs.
func tool(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, &said)
	}
	return string(out)
}

// printed is what fw_printenv reads, setenv what fw_setenv writes.
func (e *environment) printed() variables.Set {
	e.t.Helper()
	s := variables.Set{}
	for _, line := range strings.Split(tool(e.t, "", "fw_printenv", "-c", e.config), "\n") {
		if name, value, ok := strings.Cut(line, "="); ok {
			s[name] = value
		}
	}
	return s
}

func (e *environment) setenv(set variables.Set) {
	e.t.Helper()
	script := ""
	for name, value := range set {
		script += name + "=" + value + "\n"
	}
	tool(e.t, script, "fw_setenv", "-c", e.config, "-s", "-")
}

// hold fails when fw_printenv or the Store does not read want.
func (e *environment) hold(want variables.Set) {
	e.t.Helper()
	if got := e.printed(); !maps.Equal(got, want) {
		e.t.Fatalf("fw_printenv reads %q, want %q", got, want)
	}
	if got, err := e.store.Read(); err != nil || !maps.Equal(got, want) {
		e.t.Fatalf("Read = %q, %v, want %q", got, err, want)
	}
}

var usual = variables.Set{"bootcmd": `setenv bootargs "root=$root quiet"; run 'it'; # \n`, "baudrate": "115200", "ethaddr": "02:00:00:00:00:01", "greeting": "grüß dich = hallo"}

// TestInTurns fails when fw_setenv and the Store do not read each other's
// writes, in whatever order they come and however the counter stands.
func TestInTurns(t *testing.T) {
	for copies := 1; copies <= 2; copies++ {
		t.Run(fmt.Sprint("copies: ", copies), func(t *testing.T) {
			t.Parallel()
			e, want := saved(t, usual, copies), maps.Clone(usual)
			e.hold(want)
			for i := range 300 / slower { // once around the counter
				one := variables.Set{"upgrade_available": fmt.Sprint(i % 2), "mender_boot_part": fmt.Sprint(i), "text": strings.Repeat("x", i%7+1)}
				if i%5 < 2 || i%11 < 6 {
					if err := e.store.Write(one); err != nil {
						t.Fatal(err)
					}
				} else {
					e.setenv(one)
				}
				maps.Copy(want, one)
				e.hold(want)
			}
		})
	}
}

// TestSameBytes fails when the Store leaves other bytes than fw_setenv.
func TestSameBytes(t *testing.T) {
	for copies := 1; copies <= 2; copies++ {
		ours, theirs := saved(t, usual, copies), saved(t, usual, copies)
		for i := range 4 {
			set := variables.Set{"mender_boot_part": fmt.Sprint(i), "upgrade_available": "1"}
			if err := ours.store.Write(set); err != nil {
				t.Fatal(err)
			}
			theirs.setenv(set)
			for n := range copies {
				name := fmt.Sprint("copy", n)
				if !bytes.Equal(read(t, ours, name), read(t, theirs, name)) {
					t.Errorf("after write %d %s of %d differs from fw_setenv's", i, name, copies)
				}
			}
		}
	}
}

func read(t *testing.T, e *environment, name string) []byte {
	t.Helper()
	p, err := os.ReadFile(filepath.Join(filepath.Dir(e.config), name))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestNewerAsTools fails when fw_printenv believes the other copy.
func TestNewerAsTools(t *testing.T) {
	e := saved(t, usual, 2)
	dir := filepath.Dir(e.config)
	for _, tt := range counters {
		for i, m := range []*memory{copyOf(t, "first", tt.first), copyOf(t, "second", tt.second)} {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("copy", i)), m.bytes, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := e.printed()["who"]; got != tt.who {
			t.Errorf("fw_printenv with counters %d and %d reads %s, want %s", tt.first, tt.second, got, tt.who)
		}
		e.hold(variables.Set{"who": tt.who})
	}
}

// TestMkenvimage fails when images made for a factory are not what we read and
// write: with zeros behind the text or with what erased flash has.
func TestMkenvimage(t *testing.T) {
	text := "baudrate=115200\nbootcmd=run it\nmender_boot_part=2\n"
	want := variables.Set{"baudrate": "115200", "bootcmd": "run it", "mender_boot_part": "2"}
	for _, redundant := range []bool{false, true} {
		for _, pad := range []string{"0x00", "0xff"} {
			in, out := filepath.Join(t.TempDir(), "text"), filepath.Join(t.TempDir(), "image")
			if err := os.WriteFile(in, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			args := []string{"-p", pad, "-s", "0x4000", "-o", out, in}
			if redundant {
				args = append([]string{"-r"}, args...)
			}
			tool(t, "", "mkenvimage", args...)
			image, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			c, err := uboot.ParseCopy(image, redundant)
			if err != nil || !maps.Equal(c.Set, want) {
				t.Errorf("mkenvimage %v: ParseCopy = %v, %v, want %v", args, c.Set, err, want)
			}
			again, err := uboot.AppendCopy(nil, c, len(image), redundant)
			if same := bytes.Equal(again, image); err != nil || same != (pad == "0x00") {
				t.Errorf("mkenvimage %v: written again it is the same: %v, %v", args, same, err)
			}
		}
	}
}

// TestConfigAsTools fails when fw_printenv sees another place in a configuration.
func TestConfigAsTools(t *testing.T) {
	dir := t.TempDir()
	p, err := uboot.AppendCopy(nil, uboot.Copy{Set: usual}, size, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, config string
		before       int
	}{
		{"usual", " 0x1000 0x1000\n", 0x1000}, {"a size without 0x", " 0 1000", 0}, {"all columns", " 0 0x1000 0x1000 1\n", 0},
		{"octal", " 010 0x1000\n", 8}, {"capitals", " 0X10 0X1000\n", 16}, {"a sign", " +16 1000\n", 16},
	} {
		path := filepath.Join(dir, "env")
		if err := os.WriteFile(path, append(make([]byte, tt.before), p...), 0o600); err != nil {
			t.Fatal(err)
		}
		configured(t, filepath.Join(dir, "config"), "# places\n\n"+path+tt.config).hold(usual)
	}
}

// TestTools is the same through the programs, on a file: they do not care.
func TestTools(t *testing.T) {
	for copies := 1; copies <= 2; copies++ {
		e := saved(t, usual, copies)
		tools, want := uboot.Tools{Config: e.config}, maps.Clone(usual)
		for i := range 4 {
			set := variables.Set{"mender_boot_part": fmt.Sprint(i), "upgrade_available": "1", "moult_vars": "1,A,B,3,4,4660,confirmed.0.4.0102030405060708,valid.0.5.0807060504030201"}
			if err := tools.Write(set); err != nil {
				t.Fatal(err)
			}
			maps.Copy(want, set)
			e.hold(want)
			if got, err := tools.Read(); err != nil || !maps.Equal(got, want) {
				t.Errorf("Read = %q, %v, want %q", got, err, want)
			}
		}
		before := read(t, e, "copy0")
		for _, set := range []variables.Set{{"a": "1\nb=2"}, {"a=b": "1"}, {"": "1"}} {
			if err := tools.Write(set); err == nil || !bytes.Equal(read(t, e, "copy0"), before) {
				t.Errorf("Write(%q) = %v, want an error and nothing written", set, err)
			}
		}
	}
}

// TestAtOnce fails when fw_setenv and the Store undo each other's writes.
func TestAtOnce(t *testing.T) {
	e := saved(t, usual, 2)
	theirs := make(chan error)
	go func() {
		var err error
		for i := 0; i < 60/slower+2 && err == nil; i++ {
			cmd := exec.Command("fw_setenv", "-c", e.config, "-s", "-")
			cmd.Stdin = strings.NewReader(fmt.Sprintf("theirs=%d\n", i))
			if err = cmd.Run(); err != nil {
				break
			}
			var out []byte
			out, err = exec.Command("fw_printenv", "-c", e.config, "-n", "theirs").Output()
			if got := strings.TrimSpace(string(out)); err == nil && got != fmt.Sprint(i) {
				err = fmt.Errorf("fw_setenv wrote theirs=%d, fw_printenv reads %q", i, got)
			}
		}
		theirs <- err
	}()
	for i := 0; ; i++ {
		select {
		case err := <-theirs:
			if err != nil {
				t.Error(err)
			}
			return
		default:
		}
		if err := e.store.Write(variables.Set{"ours": fmt.Sprint(i)}); err != nil {
			t.Error(err)
		}
		if got, err := e.store.Read(); err != nil || got["ours"] != fmt.Sprint(i) {
			t.Errorf("Write of ours=%d, Read = %q, %v", i, got["ours"], err)
		}
	}
}
