package artifactcmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/moult-ota/moult/artifact"
)

// run runs a command line in dir and returns what it prints and its exit code.
func run(t *testing.T, dir string, args ...string) (out string, code int) {
	t.Helper()
	t.Chdir(dir)
	root := &cobra.Command{Use: "moult", SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(Command(), KeyCommand())
	var b bytes.Buffer
	root.SetOut(&b)
	root.SetErr(&b)
	root.SetArgs(args)
	err := root.Execute()
	var own interface{ ExitCode() int }
	switch {
	case errors.As(err, &own):
		code = own.ExitCode()
	case err != nil:
		code = 1
	}
	if err != nil {
		b.WriteString(err.Error())
	}
	return b.String(), code
}

// ok is run for a command that must work.
func ok(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, code := run(t, dir, args...)
	if code != 0 {
		t.Fatalf("moult %s: exit code %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

func mender(t *testing.T, dir string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("mender-artifact")
	if err != nil {
		t.Fatal("install the package mender-artifact: these tests run the real tool")
	}
	c := exec.Command(path, args...)
	c.Dir = dir
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("mender-artifact %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// desk is a folder with what an artifact is made of.
func desk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, body := range map[string]string{
		"rootfs.ext4": strings.Repeat("root file system ", 10_000), "a.txt": "alpha", "b.txt": "",
		"meta.json": `{"dest":"/opt"}`, "ArtifactInstall_Enter_00": "#!/bin/sh\n", "ArtifactCommit_Leave_10_x": "#!/bin/sh\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ok(t, dir, "key", "generate", "--format", "traditional", "--private", "ec.pem", "--public", "ec.pub")
	return dir
}

func header(t *testing.T, path string) artifact.Header {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h, err := artifact.Verify(f, artifact.ReaderOptions{AllowUnsigned: true})
	if err != nil {
		t.Fatal(err)
	}
	return *h
}

// The same arguments give the same artifact as mender-artifact's.
func TestWriteLikeMender(t *testing.T) {
	rootfs := "write rootfs-image -n r1 -t dev -f rootfs.ext4"
	module := "write module-image -n m1 -t dev -T single-file"
	for name, args := range map[string]string{
		"rootfs":                  rootfs,
		"rootfs, signed":          rootfs + " -k ec.pem -t dev2",
		"rootfs, none":            rootfs + " --compression none",
		"rootfs, no defaults":     rootfs + " --no-default-software-version --no-default-clears-provides --no-checksum-provide",
		"rootfs, legacy checksum": rootfs + " --legacy-rootfs-image-checksum",
		"rootfs, own version":     rootfs + " --software-version 7 --software-name sys",
		"rootfs, file system":     rootfs + " --software-filesystem data",
		"rootfs, depends":         rootfs + " -N r0 -N r00 -G g0 -g g1 -d k:v -d l:a:b -p x:y -s ArtifactInstall_Enter_00",
		"module":                  module + " -f a.txt -f b.txt",
		"module, no file":         module,
		"module, meta-data":       module + " -f a.txt -m meta.json -s ArtifactInstall_Enter_00 -s ArtifactCommit_Leave_10_x",
		"module, clears":          module + " -f a.txt --clears-provides k.* --clears-provides l",
		"module, only own clears": module + " -f a.txt --clears-provides k.* --no-default-clears-provides",
		"module, own name":        module + " -f a.txt --software-name app --software-version 2 --software-filesystem data",
	} {
		t.Run(name, func(t *testing.T) {
			dir := desk(t)
			ok(t, dir, append([]string{"artifact"}, strings.Fields(args+" -o ours.mender")...)...)
			mender(t, dir, strings.Fields(args+" -o theirs.mender")...)
			got, want := header(t, filepath.Join(dir, "ours.mender")), header(t, filepath.Join(dir, "theirs.mender"))
			for _, h := range []*artifact.Header{&got, &want} {
				h.Scripts = sorted(h.Scripts)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("ours:\n%+v\ntheirs:\n%+v", got, want)
			}
			if strings.Contains(args, "-k") {
				mender(t, dir, "validate", "-k", "ec.pub", "ours.mender")
			} else {
				mender(t, dir, "validate", "ours.mender")
			}
		})
	}
}

func sorted(scripts []artifact.Script) []artifact.Script {
	if len(scripts) == 2 && scripts[0].Name > scripts[1].Name {
		scripts[0], scripts[1] = scripts[1], scripts[0]
	}
	return scripts
}

// dump takes an artifact apart, and its command line puts it together again.
func TestDump(t *testing.T) {
	for name, args := range map[string]string{
		"rootfs":    "write rootfs-image -n r1 -t dev -f rootfs.ext4 -s ArtifactInstall_Enter_00 --security-version 4",
		"module":    "write module-image -n m1 -t dev -t d2 -T single-file -f a.txt -f b.txt -m meta.json -g g -N n -G h -d k:v -d k:w -p x:$HOME -s ArtifactCommit_Leave_10_x",
		"bootstrap": "write bootstrap-artifact -n b1 -t dev -p rootfs-image.version:b1",
	} {
		t.Run(name, func(t *testing.T) {
			dir := desk(t)
			ok(t, dir, append([]string{"artifact"}, strings.Fields(args+" -o one.mender")...)...)
			out := ok(t, dir, "artifact", "dump", "one.mender", "--files", "f", "--scripts", "s", "--meta-data", "m", "--print0-cmdline")
			again := append([]string{"artifact"}, strings.Split(out, "\x00")...)
			ok(t, dir, append(again, "-o", "two.mender")...)
			if got, want := contents(t, dir, "two.mender"), contents(t, dir, "one.mender"); got != want {
				t.Errorf("%q makes another artifact", again)
			}
			line := ok(t, dir, "artifact", "dump", "one.mender", "--files", "f", "--scripts", "s", "--meta-data", "m", "--print-cmdline")
			words, err := exec.Command("sh", "-c", "printf '%s\\0' "+line).Output()
			if err != nil || strings.TrimSuffix(string(words), "\x00") != out {
				t.Errorf("a shell reads %q from %q, want %q: %v", words, line, out, err)
			}
		})
	}
}

func contents(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestExitCodes(t *testing.T) {
	dir := desk(t)
	ok(t, dir, "key", "generate", "--private", "other.pem", "--public", "other.pub")
	write := strings.Fields("artifact write rootfs-image -n r1 -t dev -f rootfs.ext4 --compression none")
	ok(t, dir, append(write, "-o", "plain.mender")...)
	ok(t, dir, append(write, "-o", "signed.mender", "-k", "ec.pem")...)
	spoiled := strings.Replace(contents(t, dir, "signed.mender"), "root file system root", "root file system ROOT", 1)
	if err := os.WriteFile(filepath.Join(dir, "spoiled.mender"), []byte(spoiled), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args string
		code int
		says string
	}{
		{"artifact validate plain.mender", 0, "not signed"},
		{"artifact validate signed.mender", 0, "not verified"},
		{"artifact validate signed.mender -k ec.pub", 0, "signed and verified"},
		{"artifact validate signed.mender -k other.pub -k ec.pub", 0, "signed and verified"},
		{"artifact validate signed.mender -k other.pub", 8, "signature"},
		{"artifact validate plain.mender -k ec.pub", 8, "no signature"},
		{"artifact validate spoiled.mender", 8, "checksum"},
		{"artifact read spoiled.mender -k ec.pub", 8, "checksum"},
		{"artifact dump spoiled.mender --files f", 8, "checksum"},
		{"artifact sign spoiled.mender -k ec.pem -f", 8, "checksum"},
		{"artifact validate rootfs.ext4", 1, "rule"},
		{"artifact validate gone.mender", 1, "no such file"},
		{"artifact validate signed.mender -k gone.pub", 1, "no such file"},
		{"artifact validate signed.mender -k meta.json", 1, "not a usable artifact key"},
		{"artifact sign signed.mender -k other.pem", 1, "--force"},
		{"artifact sign plain.mender -k ec.pub", 1, "public key"},
		{"artifact sign plain.mender", 2, "--key"},
		{"artifact validate", 2, "FILE"},
		{"artifact validate a b", 2, "FILE"},
		{"artifact validate --nonsense x", 2, "nonsense"},
		{"artifact nonsense", 2, "nonsense"},
		{"artifact write nonsense", 2, "nonsense"},
		{"artifact dump plain.mender", 2, "dump what"},
		{"artifact write rootfs-image -t dev -f rootfs.ext4", 2, "--artifact-name"},
		{"artifact write rootfs-image -n x -f rootfs.ext4", 2, "--device-type"},
		{"artifact write rootfs-image -n x -t dev", 2, "--file"},
		{"artifact write rootfs-image -n x -t dev -f ssh://root@dev?x", 1, "want ssh://"},
		{"artifact write rootfs-image -n x -t dev -f . --image-size 5T", 2, "with K, M or G"},
		{"artifact write rootfs-image -n x -t dev -f rootfs.ext4 -v 2", 2, "version"},
		{"artifact write rootfs-image -n x -t dev -f rootfs.ext4 --compression lzma", 2, "reading only"},
		{"artifact write rootfs-image -n x -t dev -f rootfs.ext4 --compression best", 2, "compression"},
		{"artifact write rootfs-image -n x -t dev -f rootfs.ext4 -p x", 2, "KEY:VALUE"},
		{"artifact write rootfs-image -n x -t dev -f rootfs.ext4 -s a.txt", 2, "script"},
		{"artifact write rootfs-image -n x -t dev -f rootfs.ext4 --security-version -2", 2, "security-version"},
		{"artifact write rootfs-image -n x -t dev -f rootfs.ext4 -p rootfs-image.security_version:1x", 2, "decimal"},
		{"artifact write module-image -n x -t dev -f a.txt", 2, "--type"},
		{"key generate --type ed25519", 2, "ed25519"},
		{"key generate --type rsa --bits 1024", 2, "1024"},
		{"key generate --format der", 2, "der"},
		{"key generate --private ec.pem --public new.pub", 1, "exists"},
		{"key generate --private new.pem --public ec.pub", 1, "exists"},
	} {
		out, code := run(t, dir, strings.Fields(tt.args)...)
		if code != tt.code || !strings.Contains(out, tt.says) {
			t.Errorf("moult %s: exit code %d, want %d, saying %q:\n%s", tt.args, code, tt.code, tt.says, out)
		}
	}
	left, _ := filepath.Glob(filepath.Join(dir, ".moult*"))
	if _, err := os.Stat(filepath.Join(dir, "new.pem")); err == nil || len(left) > 0 {
		t.Errorf("left over: new.pem or %v", left)
	}
}

func TestSign(t *testing.T) {
	dir := desk(t)
	ok(t, dir, strings.Fields("artifact write rootfs-image -n r1 -t dev -f rootfs.ext4 -o x.mender")...)
	ok(t, dir, strings.Fields("artifact sign x.mender -k ec.pem -o y.mender")...)
	mender(t, dir, "validate", "-k", "ec.pub", "y.mender")
	mender(t, dir, "sign", "-k", "ec.pem", "-o", "z.mender", "x.mender")
	ok(t, dir, strings.Fields("artifact validate z.mender -k ec.pub")...)
	ok(t, dir, strings.Fields("artifact sign x.mender -k ec.pem")...)
	if contents(t, dir, "x.mender") != contents(t, dir, "y.mender") {
		t.Error("in place and to a file differ")
	}
}

// All kinds of keys sign what mender-artifact verifies.
func TestGenerate(t *testing.T) {
	for _, args := range []string{"", "--type rsa", "--format traditional", "--type rsa --bits 2048 --format traditional"} {
		dir := desk(t)
		ok(t, dir, append([]string{"key", "generate"}, strings.Fields(args)...)...)
		stat, err := os.Stat(filepath.Join(dir, "artifact-private.pem"))
		if err != nil || stat.Mode() != 0o600 {
			t.Errorf("key generate %s: mode %v, %v", args, stat.Mode(), err)
		}
		ok(t, dir, strings.Fields("artifact write rootfs-image -n r1 -t dev -f rootfs.ext4 -k artifact-private.pem")...)
		mender(t, dir, "validate", "-k", "artifact-public.pem", "artifact.mender")
		if strings.Contains(args, "traditional") {
			mender(t, dir, strings.Fields("write rootfs-image -n r1 -t dev -f rootfs.ext4 -k artifact-private.pem -o theirs.mender")...)
		}
	}
}

func TestJSON(t *testing.T) {
	dir := desk(t)
	out := ok(t, dir, strings.Fields("artifact write module-image -n m1 -t dev -T single-file -f a.txt -m meta.json -k ec.pem --security-version 3 --json -o x.mender")...)
	var w written
	decode(t, out, &w)
	if w.Path != "x.mender" || w.Size != int64(len(contents(t, dir, "x.mender"))) || !w.Signed {
		t.Errorf("write --json: %+v", w)
	}
	var r report
	decode(t, ok(t, dir, "artifact", "read", "--json", "-k", "ec.pub", "x.mender"), &struct {
		*artifact.Header
		Files any
	}{Header: &r.Header})
	if r.Name != "m1" || !r.Verified || string(r.MetaData) != `{
    "dest": "/opt"
  }` || r.Provides["rootfs-image.single-file.security_version"] != "3" {
		t.Errorf("read --json: %+v", r)
	}
	var v validity
	out, code := run(t, dir, "artifact", "validate", "--json", "--key", "ec.pem", "a.txt")
	decode(t, out[:strings.LastIndex(out, "}")+1], &v)
	if v.Valid || v.Rule != artifact.RuleTruncated || v.Where != "artifact" || code != 1 {
		t.Errorf("validate --json: %+v, exit code %d", v, code)
	}
}

func decode(t *testing.T, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}

func TestRead(t *testing.T) {
	dir := desk(t)
	ok(t, dir, strings.Fields("artifact write module-image -n m1 -t dev -t d2 -c d3 -c d4 -T single-file -f a.txt -m meta.json -p x:y -d k:v -d k:w --security-version 3 -s ArtifactInstall_Enter_00")...)
	got := ok(t, dir, "artifact", "read", "artifact.mender")
	for _, want := range []string{
		"name               m1\n", "signature          not signed\n", "device types       dev, d2, d3, d4\n", "payload type       single-file\n",
		"security version   3 (rootfs-image.single-file.security_version)\n", "x: y\n", "k: v | w\n",
		"clears             rootfs-image.single-file.*\n", "script             ArtifactInstall_Enter_00\n", `meta-data          {"dest":"/opt"}`,
		"file               a.txt\n", "5 bytes, sha256 8ed3f6ad685b959ead7022518e1af76cd816f8e8ec7ccdda1ed4018e8f2223f8",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("read does not print %q:\n%s", want, got)
		}
	}
}

// What an artifact says must not steer the terminal of who reads it.
func TestReadEscapes(t *testing.T) {
	dir := desk(t)
	ok(t, dir, "artifact", "write", "bootstrap-artifact", "-n", "b", "-t", "d", "-p", "k:\x1b]0;pwned\x07")
	if got := ok(t, dir, "artifact", "read", "artifact.mender"); strings.ContainsAny(got, "\x1b\x07") || !strings.Contains(got, `k: \x1b]0;pwned\a`) {
		t.Errorf("read prints %q", got)
	}
}
