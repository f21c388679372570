// Package deb_test builds the Debian packages of this machine's architecture
// and puts them on and off a root of their own, with dpkg itself.
package deb_test

import (
	"bytes"
	"crypto/sha256"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// packages are what `make deb` makes.
var packages = []string{"moult", "moult-agent", "moult-sbl"}

// run runs a command and returns what it said.
func run(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), append(env, "LC_ALL=C")...)
	cmd.Dir = "../.."
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// build makes the packages of a version, and returns them by name.
func build(t *testing.T, version string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	run(t, []string{"SOURCE_DATE_EPOCH=1750000000"}, "make", "--no-print-directory", "deb", "OUT="+dir, "DEB_ARCHES="+runtime.GOARCH, "VERSION="+version)
	debs := map[string]string{}
	for _, p := range packages {
		debs[p] = filepath.Join(dir, p+"_"+strings.TrimPrefix(version, "v")+"_"+runtime.GOARCH+".deb")
	}
	return debs
}

// A root is a machine's file system with nothing on it but dpkg's database.
type root struct {
	*testing.T
	dir string
}

func newRoot(t *testing.T) root {
	t.Helper()
	r := root{t, t.TempDir()}
	for _, dir := range []string{"var/lib/dpkg/info", "var/lib/dpkg/updates", "etc"} {
		if err := os.MkdirAll(filepath.Join(r.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r.write("var/lib/dpkg/status", "")
	return r
}

func (r root) dpkg(args ...string) string {
	r.Helper()
	flags := []string{"--root=" + r.dir, "--log=/dev/null", "--force-not-root", "--force-script-chrootless", "--force-depends"}
	if os.Geteuid() != 0 { // dpkg gives files to root: to the root of a name space, then
		return run(r.T, nil, "unshare", append(append([]string{"-r", "dpkg"}, flags...), args...)...)
	}
	return run(r.T, nil, "dpkg", append(flags, args...)...)
}

func (r root) write(path, text string) {
	r.Helper()
	path = filepath.Join(r.dir, path)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.Fatal(err)
	}
}

func (r root) has(want bool, paths ...string) {
	r.Helper()
	for _, path := range paths {
		if _, err := os.Lstat(filepath.Join(r.dir, path)); (err == nil) != want {
			r.Errorf("%s is there: %v, want %v", path, err == nil, want)
		}
	}
}

func (r root) mode(path string, want os.FileMode) {
	r.Helper()
	fi, err := os.Stat(filepath.Join(r.dir, path))
	if err != nil || fi.Mode().Perm() != want {
		r.Errorf("%s: mode %v, want %v (%v)", path, fi.Mode().Perm(), want, err)
	}
}

const (
	wanted = "etc/systemd/system/multi-user.target.wants/"
	key    = "var/lib/moult/device.key"
)

// TestPackages tells the life of a package: built twice alike, installed,
// upgraded, removed, installed again, purged.
func TestPackages(t *testing.T) {
	sources(t)
	first := build(t, "v1.0.0")
	t.Run("the same bytes again", func(t *testing.T) { sameBytes(t, first, build(t, "v1.0.0")) })
	t.Run("what is in them", func(t *testing.T) { contents(t, first) })
	t.Run("units", func(t *testing.T) { units(t, first) })
	second := build(t, "v1.1.0")
	t.Run("agent", func(t *testing.T) { agentsLife(t, first["moult-agent"], second["moult-agent"]) })
	t.Run("server", func(t *testing.T) { serversLife(t, first["moult"], second["moult"]) })
}

// sources reads what packages are made from, so that the test cache sees it.
func sources(t *testing.T) {
	paths, err := filepath.Glob("../../packaging/*/*")
	if err != nil || len(paths) == 0 {
		t.Fatal("packaging is empty: ", err)
	}
	paths = append(paths, "../../packaging/deb.sh", "../../packaging/manpage.sh", "../../packaging/copyright", "../../Makefile", "../../CHANGELOG.md",
		"../../internal/server/options.go", "../../internal/agent/config.go")
	for _, path := range paths {
		sum(t, path)
	}
}

func sameBytes(t *testing.T, first, again map[string]string) {
	for name := range first {
		if a, b := sum(t, first[name]), sum(t, again[name]); a != b {
			t.Errorf("%s: built twice, %x and %x", name, a[:4], b[:4])
		}
	}
}

func sum(t *testing.T, path string) [32]byte {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(text)
}

// contents compares each package's files and modes, and its conffiles.
func contents(t *testing.T, debs map[string]string) {
	want := map[string][]string{
		"moult": {"-rwxr-xr-x usr/bin/moult", "-rw-r----- etc/moult/server.yaml", "-rw-r--r-- usr/lib/systemd/system/moult-server.service",
			"-rw-r--r-- usr/share/bash-completion/completions/moult", "-rw-r--r-- usr/share/zsh/vendor-completions/_moult", "-rw-r--r-- usr/share/man/man1/moult.1.gz"},
		"moult-agent": {"-rwxr-xr-x usr/bin/moult-agent", "drwx------ var/lib/moult/", "drwxr-xr-x etc/moult/health.d/",
			"-rw-r--r-- usr/lib/systemd/system/moult-agent.service", "-rw-r--r-- usr/share/man/man8/moult-agent.8.gz"},
		"moult-sbl": {"-rwxr-xr-x usr/lib/moult/moult-sbl"},
	}
	line := regexp.MustCompile(`(?m)^(\S+) root/root .* \./(\S*)$`)
	for name, deb := range debs {
		var got []string
		for _, m := range line.FindAllStringSubmatch(run(t, nil, "dpkg-deb", "--contents", deb), -1) {
			got = append(got, m[1]+" "+m[2])
		}
		for _, w := range append(want[name], "-rw-r--r-- usr/share/doc/"+name+"/copyright") {
			if !slices.Contains(got, w) {
				t.Errorf("%s has no %q:\n%s", name, w, strings.Join(got, "\n"))
			}
		}
		info := run(t, nil, "dpkg-deb", "--info", deb)
		if !strings.Contains(info, " Package: "+name+"\n") || !strings.Contains(info, " Version: 1.0.0\n") {
			t.Errorf("%s: %s", name, info)
		}
	}
	for name, want := range map[string]string{"moult": "/etc/moult/server.yaml\n", "moult-agent": "/etc/default/moult-agent\n"} {
		if got := run(t, nil, "dpkg-deb", "--info", debs[name], "conffiles"); got != want {
			t.Errorf("conffiles of %s: %q, want %q", name, got, want)
		}
	}
}

// units asks systemd what it thinks of the units, with the programs in place.
func units(t *testing.T, debs map[string]string) {
	r := newRoot(t)
	r.dpkg("--install", debs["moult"], debs["moult-agent"])
	for _, unit := range []string{"moult-agent.service", "moult-server.service"} {
		text, err := os.ReadFile(filepath.Join(r.dir, "usr/lib/systemd/system", unit))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), unit)
		text = bytes.ReplaceAll(text, []byte("=/usr/bin/moult"), []byte("="+r.dir+"/usr/bin/moult"))
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		if said := run(t, nil, "systemd-analyze", "verify", "--man=no", path); said != "" {
			t.Errorf("systemd-analyze verify %s: %s", unit, said)
		}
	}
}

// agentsLife: the identity survives all but a purge that was asked to take it.
func agentsLife(t *testing.T, old, latest string) {
	r := newRoot(t)
	r.dpkg("--install", old)
	r.has(true, "usr/bin/moult-agent", wanted+"moult-agent.service")
	r.has(false, "etc/moult/agent.json") // setup writes it, and the unit waits for it
	r.mode("var/lib/moult", 0o700)

	lived := []string{"etc/moult/agent.json", key, "var/lib/moult/record.json"}
	for _, path := range lived {
		r.write(path, "mine")
	}
	r.write("etc/default/moult-agent", "HTTPS_PROXY=mine\n")
	r.dpkg("--install", latest)
	r.has(true, lived...)
	if text, _ := os.ReadFile(filepath.Join(r.dir, "etc/default/moult-agent")); string(text) != "HTTPS_PROXY=mine\n" {
		t.Errorf("the upgrade put %q into a conffile that was changed", text)
	}
	r.dpkg("--remove", "moult-agent")
	r.has(false, "usr/bin/moult-agent")
	r.has(true, append(lived, "etc/default/moult-agent")...)
	r.dpkg("--install", latest)
	r.has(true, append(lived, wanted+"moult-agent.service")...)

	said := r.dpkg("--purge", "moult-agent")
	r.has(true, key)
	r.has(false, "etc/moult", "etc/default/moult-agent", "var/lib/moult/record.json", wanted+"moult-agent.service")
	if !strings.Contains(said, "kept /var/lib/moult/device.key") {
		t.Errorf("purge said %q", said)
	}
	r.dpkg("--install", latest)
	r.write("etc/moult/purge-keys", "")
	r.dpkg("--purge", "moult-agent")
	r.has(false, key, "var/lib/moult", "etc/moult")
}

// serversLife: it starts when it is enabled, and its data survive likewise.
func serversLife(t *testing.T, old, latest string) {
	r := newRoot(t)
	r.dpkg("--install", old)
	r.has(false, wanted+"moult-server.service")
	r.mode("etc/moult/server.yaml", 0o640)
	users, err := os.ReadFile(filepath.Join(r.dir, "etc/passwd"))
	if err != nil || !bytes.HasPrefix(users, []byte("moult-server:")) {
		t.Errorf("users: %q, %v", users, err)
	}
	if config := run(t, nil, filepath.Join(r.dir, "usr/bin/moult"), "server", "config", "--config", filepath.Join(r.dir, "etc/moult/server.yaml")); !strings.Contains(config, "data: /var/lib/moult-server\n") {
		t.Errorf("moult server reads the conffile as %s", config)
	}
	if err := os.MkdirAll(filepath.Join(r.dir, "var/lib/moult-server"), 0o700); err != nil {
		t.Fatal(err)
	}
	r.write("var/lib/moult-server/moult.db", "mine")
	r.dpkg("--install", latest)
	r.dpkg("--purge", "moult")
	r.has(true, "var/lib/moult-server/moult.db")
	r.has(false, "etc/moult", "usr/bin/moult")
	r.dpkg("--install", latest)
	r.write("etc/moult/purge-data", "")
	r.dpkg("--purge", "moult")
	r.has(false, "var/lib/moult-server", "etc/moult")
	if left := slices.Sorted(maps.Keys(r.files("usr", "etc"))); !slices.Equal(left, []string{"etc/.pwd.lock", "etc/group", "etc/gshadow", "etc/passwd", "etc/shadow"}) {
		t.Errorf("left behind: %v", left)
	}
}

// files are the files below some folders.
func (r root) files(dirs ...string) map[string]bool {
	found := map[string]bool{}
	for _, dir := range dirs {
		filepath.WalkDir(filepath.Join(r.dir, dir), func(path string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				rel, _ := filepath.Rel(r.dir, path)
				found[rel] = true
			}
			return nil
		})
	}
	return found
}
