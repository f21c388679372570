package main

import (
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite deps.txt")

// TestGoldenDeps compares what the program links with deps.txt, so that a new
// dependency of a device is seen by whoever reviews it. The packages of the
// standard library are not listed, but for those that cost much.
func TestGoldenDeps(t *testing.T) {
	readSources(t)
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, pkg := range strings.Fields(string(out)) {
		host, _, _ := strings.Cut(pkg, "/")
		if strings.Contains(host, ".") || costly[pkg] {
			got += pkg + "\n"
		}
	}
	if *update {
		if err := os.WriteFile("deps.txt", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("deps.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the program links\n%s\ndeps.txt lists\n%s\nIf that is meant, run go test ./cmd/moult-agent -update", got, want)
	}
}

// costly are packages of the standard library worth a second look.
var costly = map[string]bool{"net/http": true, "text/template": true, "html/template": true, "go/ast": true, "testing": true, "regexp": true, "encoding/gob": true}

// readSources reads what `go list` reads, for the test cache to see it.
func readSources(t *testing.T) {
	t.Helper()
	for _, dir := range []string{".", "../../internal", "../../artifact"} {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, ".go") {
				_, err = os.ReadFile(path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
