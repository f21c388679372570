package moult_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// This file keeps the rules of the house that the compiler does not know.
// It reads every source file itself, so that the test cache sees them.

const module = "github.com/moult-ota/moult"

// A place says where a package tree stands: its floor, its side of the wire
// ("" is shared, "both" may see either), and whether it is pure: no
// goroutine, no clock, no log, no socket.
type place struct {
	floor int
	side  string
	pure  bool
}

// places is the house. Every package tree has a line; an unlisted one fails.
// The longest listed prefix wins. ARCHITECTURE.md draws it.
var places = map[string]place{
	"artifact": {0, "", true},
	"mcuboot":  {0, "", true},

	"internal/device":         {1, "", true},
	"internal/inventory":      {1, "", true},
	"internal/deployment":     {1, "", true},
	"internal/fleet":          {1, "", true},
	"internal/wire":           {1, "", true},
	"internal/wire/securemsg": {1, "", true},
	"internal/wire/object":    {1, "", true},
	"internal/wire/smp":       {1, "", true},
	"internal/version":        {1, "", true},
	"internal/atomicfile":     {1, "", true},
	"internal/slot":           {1, "device", true},
	"internal/mcupayload":     {1, "", true},

	"internal/store":      {2, "server", false},
	"internal/blob":       {2, "server", false},
	"internal/broker":     {2, "server", false},
	"internal/api/client": {2, "server", false},
	"internal/session":    {2, "", true},
	"internal/boot":       {2, "device", true},
	"internal/update":     {2, "device", true},
	"internal/install":    {2, "device", false},
	"internal/link":       {2, "device", false},
	"internal/child":      {2, "device", false},

	"internal/control":          {3, "server", false},
	"internal/auth":             {3, "server", false},
	"internal/packager":         {3, "server", false},
	"internal/frontend/mender":  {3, "server", false},
	"internal/frontend/mqtt":    {3, "server", false},
	"internal/store/sqlite":     {3, "server", false},
	"internal/store/postgres":   {3, "server", false},
	"internal/blob/disk":        {3, "server", false},
	"internal/broker/embedded":  {3, "server", false},
	"internal/broker/mqtt":      {3, "server", false},
	"internal/boot/register":    {3, "device", false},
	"internal/boot/uboot":       {3, "device", false},
	"internal/boot/grub":        {3, "device", false},
	"internal/boot/systemdboot": {3, "device", false},
	"internal/boot/script":      {3, "device", false},
	"internal/install/rootfs":   {3, "device", false},
	"internal/install/module":   {3, "device", false},
	"internal/install/mcu":      {3, "device", false},
	"internal/child/exec":       {3, "device", false},
	"internal/child/dfu":        {3, "device", false},
	"internal/child/smp":        {3, "device", false},
	"internal/link/httplink":    {3, "device", false},
	"internal/link/either":      {3, "device", false},
	"internal/link/mqttlink":    {3, "device", false},
	"internal/snapshot":         {3, "device", false},
	"internal/capture":          {3, "server", false},

	"internal/api":              {4, "server", false},
	"internal/gateway/upstream": {4, "device", false},

	"internal/server": {5, "server", false},
	"internal/agent":  {5, "device", false},
	"internal/sbl":    {5, "device", false},

	"internal/virtualmcu": {5, "both", false},
	"internal/usbipd":     {5, "both", false},

	"internal/cli":      {6, "both", false},
	"internal/gateway":  {6, "both", false},
	"internal/sim":      {7, "both", false},
	"cmd/moult":         {8, "both", false},
	"cmd/moult-mcu":     {8, "both", false},
	"cmd/moult-agent":   {8, "device", false},
	"cmd/moult-gateway": {8, "both", false},
	"cmd/moult-sbl":     {8, "device", false},
	"test":              {9, "both", false},

	// Suites and fakes stand beside what they test and see it all.
	"internal/fleet/fleettest":       {4, "both", false},
	"internal/store/storetest":       {4, "server", false},
	"internal/blob/blobtest":         {4, "server", false},
	"internal/broker/brokertest":     {4, "server", false},
	"internal/frontend/frontendtest": {4, "server", false},
	"internal/boot/boottest":         {4, "device", false},
	"internal/child/childtest":       {4, "device", false},
	"internal/child/dfu/dfutest":     {4, "device", false},
	"internal/agent/agenttest":       {6, "both", false},
}

// codecs are the third-party modules that floors 0 to 2 may use; each is
// argued in docs/dependencies.md.
var codecs = map[string][]string{
	"artifact": {
		"github.com/klauspost/compress/gzip", "github.com/klauspost/compress/zstd",
		"github.com/klauspost/pgzip", "github.com/ulikunitz/xz", "github.com/ulikunitz/xz/lzma",
	},
	"internal/store":          {"github.com/google/uuid"},
	"internal/wire/securemsg": {"github.com/fxamacker/cbor/v2"},
	"internal/wire/object":    {"github.com/fxamacker/cbor/v2"},
	"internal/wire/smp":       {"github.com/fxamacker/cbor/v2"},
	"internal/session":        {"github.com/flynn/noise"},
}

// impure lists the packages that a pure package does not import.
var impure = map[string]string{
	"log": "writes a log", "log/slog": "writes a log", "net": "opens a socket", "net/http": "opens a socket",
	"os/exec": "starts a process", "math/rand": "takes chance as an argument instead",
}

// started lists the goroutines that pure packages may start, with the reason.
var started = map[string]string{
	"artifact": "the writer hashes and compresses side by side; none outlives the call or Close",
}

// vague names say nothing about what a package holds.
var vague = []string{"common", "util", "utils", "helper", "helpers", "model", "models", "types", "manager", "misc", "base"}

func TestFloors(t *testing.T) {
	for file, src := range sources(t) {
		from, here, ok := placeOf(filepath.ToSlash(filepath.Dir(file)))
		if !ok {
			t.Errorf("%s: its folder has no line in rules_test.go", file)
			continue
		}
		for _, spec := range src.Imports {
			imp, _ := strconv.Unquote(spec.Path.Value)
			checkImport(t, file, from, here, imp)
		}
	}
}

func checkImport(t *testing.T, file, from string, here place, imp string) {
	pkg, ours := strings.CutPrefix(imp, module+"/")
	if !ours {
		checkForeign(t, file, from, here, imp)
		return
	}
	to, there, ok := placeOf(pkg)
	switch {
	case !ok:
		t.Errorf("%s imports %s, which has no line in rules_test.go", file, pkg)
	case to == from:
	case there.floor > here.floor, there.floor == here.floor && here.floor > 1:
		t.Errorf("%s (floor %d) imports %s (floor %d)", file, here.floor, pkg, there.floor)
	case there.side != "" && there.side != here.side && here.side != "both":
		t.Errorf("%s (%s side) imports %s (%s side)", file, here.side, pkg, there.side)
	}
}

func checkForeign(t *testing.T, file, from string, here place, imp string) {
	host, _, _ := strings.Cut(imp, "/")
	if strings.Contains(host, ".") && here.floor <= 2 && !contains(codecs[from], imp) {
		t.Errorf("%s imports %s: third-party modules enter at floor 3", file, imp)
	}
	if why, bad := impure[imp]; bad && here.pure {
		t.Errorf("%s imports %s: a pure package %s never", file, imp, why)
	}
}

func TestPurePackages(t *testing.T) {
	for file, src := range sources(t) {
		from, here, _ := placeOf(filepath.ToSlash(filepath.Dir(file)))
		if !here.pure {
			continue
		}
		ast.Inspect(src, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				if started[from] == "" {
					t.Errorf("%s: a pure package starts a goroutine", file)
				}
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && clock(n.Sel.Name) {
					t.Errorf("%s: a pure package calls time.%s; take now as an argument", file, n.Sel.Name)
				}
			}
			return true
		})
	}
}

func clock(name string) bool {
	switch name {
	case "Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer":
		return true
	}
	return false
}

func TestNames(t *testing.T) {
	for file, src := range sources(t) {
		if contains(vague, src.Name.Name) {
			t.Errorf("%s: package name %q says nothing", file, src.Name.Name)
		}
	}
}

// TestBuffersHaveNames refuses structs that embed a bytes.Buffer: os/exec and
// io.Copy read into it by its ReadFrom, past a Write that has a limit.
func TestBuffersHaveNames(t *testing.T) {
	for file, src := range sources(t) {
		ast.Inspect(src, func(n ast.Node) bool {
			s, ok := n.(*ast.StructType)
			for _, f := range fields(s, ok) {
				if x, ok := f.Type.(*ast.SelectorExpr); ok && len(f.Names) == 0 && x.Sel.Name == "Buffer" {
					t.Errorf("%s embeds a Buffer; give it a name", file)
				}
			}
			return true
		})
	}
}

func fields(s *ast.StructType, ok bool) []*ast.Field {
	if !ok {
		return nil
	}
	return s.Fields.List
}

var skips = regexp.MustCompile(`\b[tbf]\.Skip(f|Now)?\(|testing\.Short\(`)

// TestNoSkips refuses tests that can pass without having run.
func TestNoSkips(t *testing.T) {
	walk(t, func(path string) {
		if !strings.HasSuffix(path, "_test.go") || path == "rules_test.go" {
			return
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if found := skips.Find(text); found != nil {
			t.Errorf("%s has %s; a test that needs something says so and fails", path, found)
		}
	})
}

var required = regexp.MustCompile(`(?m)^\t(\S+) (v\S+)$`) // not "// indirect"

// TestDependencies wants a line in docs/dependencies.md for every module that
// we require ourselves, with its version.
func TestDependencies(t *testing.T) {
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	all := required.FindAllStringSubmatch(string(mod), -1)
	if len(all) == 0 {
		t.Fatal("go.mod requires nothing")
	}
	for _, m := range all {
		if line := "| " + m[1] + " | " + m[2] + " |"; !strings.Contains(string(doc), line) {
			t.Errorf("docs/dependencies.md has no line %q", line)
		}
	}
}

var named = regexp.MustCompile("`([a-z0-9_/.]+\\.(?:go|md|sh|yaml))`|\\]\\(([^):#]+)\\)")

// TestDocsNameWhatIsThere fails for a file or link in the docs that leads
// nowhere. Files of internal/ are named without it.
func TestDocsNameWhatIsThere(t *testing.T) {
	for _, doc := range []string{"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"} {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range named.FindAllStringSubmatch(string(text), -1) {
			path := m[1] + m[2]
			if path == "FORMAT.md" { // it stands beside every format
				continue
			}
			_, err := os.Stat(path)
			if _, inside := os.Stat("internal/" + path); err != nil && inside != nil {
				t.Errorf("%s names %s: %v", doc, path, err)
			}
		}
	}
}

// TestHouseIsWhole fails for a line in places whose folder is gone.
func TestHouseIsWhole(t *testing.T) {
	for dir := range places {
		if _, err := os.Stat(dir); err != nil {
			t.Errorf("places lists %s: %v", dir, err)
		}
	}
}

// placeOf finds the line for a package path below the module.
func placeOf(pkg string) (string, place, bool) {
	for dir := pkg; dir != "." && dir != "/"; dir = filepath.ToSlash(filepath.Dir(dir)) {
		if p, ok := places[dir]; ok {
			return dir, p, true
		}
	}
	return "", place{}, false
}

// sources parses every Go file that is not a test.
func sources(t *testing.T) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	walk(t, func(path string) {
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		src, err := parser.ParseFile(token.NewFileSet(), path, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files[path] = src
	})
	if len(files) == 0 {
		t.Fatal("found no source files")
	}
	return files
}

func walk(t *testing.T, visit func(path string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if !d.IsDir() {
			visit(filepath.ToSlash(path))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func contains(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}
