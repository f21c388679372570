package boottest_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A mutant is the source with one rule left out. The suite must refuse it.
type mutant struct {
	rule  string
	file  string
	edits []string // old, new, old, new ...
	run   string   // the test that must fail
	want  string   // part of what it then says
}

const (
	nor = "TestPowerCuts/units_of_8_bytes"
	ecc = "TestPowerCuts/checksummed_units_of_32_bytes"
)

var mutants = []mutant{
	{"1: each state is written twice", "../register/register.go",
		[]string{"i < at+2; i++", "i < at+1; i++", "case s.valid && !s.stable:", "case false:"}, nor, "what was saved"},
	{"1: the newest sector is not erased", "../register/register.go",
		[]string{"r.erase(1 - n); err", "r.erase(n); err", "r.write(1-n, 0, ", "r.write(n, 0, "}, nor, "what was saved"},
	{"2: the highest generation counts", "../register/register.go",
		[]string{"s[0].last.Generation) > 0", "s[0].last.Generation) < 0"}, nor, "what was saved"},
	{"3: a state in doubt is written again", "../register/register.go",
		[]string{"case s.valid && !s.stable:", "case false:"}, nor, "what was saved"},
	{"3: a pair names its place", "../register/sector.go",
		[]string{"&& int(rec.First) == i-1", ""}, "TestPairNamesItsPlace", "state again"},
	{"4: a dirty sector is erased", "../register/register.go",
		[]string{"case other.dirty():", "case false:"}, nor, "what was saved"},
	{"5: what was written is read back", "../register/register.go",
		[]string{"if !r.holds(n, i, rec) {", "if false {"}, "TestWornFlash", "want"},
	{"5: no cell is written twice", "../register/sector.go",
		[]string{"\t\ts.end = i + 1\n\t\trec, _, err", "\t\trec, _, err",
			"s.valid, s.last, end = true, rec, i+1", "s.valid, s.last, end, s.end = true, rec, i+1, i+1"}, ecc, "broken"},
	{"6: a start on trial is counted before it", "../decide.go",
		[]string{"err = env.Save(d.Vars); err == nil", "err = nil; err == nil"}, nor, "broken"},
	{"6: a trial ends with its tries", "../decide.go",
		[]string{"if v.Tries == 0 {", "if false {"}, nor, "as often as it has tries"},
	{"6: an image is checked before its trial", "../decide.go",
		[]string{"if err := fit(v, s, check); err != nil {", "if err := error(nil); err != nil {"}, nor, "complete, verified"},
	{"6: the other confirmed image takes over", "../decide.go",
		[]string{"v.Slot(other).State != Confirmed", "true"}, nor, "complete, verified"},
	{"7: a request sees the image stored", "../../slot/writer.go",
		[]string{"if err := w.f.Sync(); err != nil {\n\t\treturn writing(\"store slot descriptor\", err)\n\t}", ""}, nor, "was finished"},
	{"8: a cell that cannot be read is invalid", "../register/register.go",
		[]string{"s.failed+other.failed == 2*r.cells", "s.failed+other.failed > 0"}, ecc, "succeed"},
}

// TestMutants leaves out one rule of the register, the loader or the writer at
// a time, and fails when the suite does not notice.
func TestMutants(t *testing.T) {
	for _, m := range mutants {
		t.Run(m.rule, func(t *testing.T) {
			out, err := exec.Command("go", "test", "-overlay", m.overlay(t), "-vet=off", "-run", "^"+strings.ReplaceAll(m.run, "/", "$/^")+"$",
				"../register", "-args", "-cuts=60000").CombinedOutput()
			if err == nil || !strings.Contains(string(out), m.want) || strings.Contains(string(out), "build failed") {
				t.Errorf("without rule %s: %s passed or failed otherwise, want %q:\n%s", m.rule, m.run, m.want, out)
			}
		})
	}
}

// overlay writes the mutated source and what tells the go command to use it.
func (m mutant) overlay(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(m.file)
	if err != nil {
		t.Fatal(err)
	}
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(src)
	for i := 0; i < len(m.edits); i += 2 {
		if strings.Count(text, m.edits[i]) != 1 {
			t.Fatalf("%s has %q %d times, want once", m.file, m.edits[i], strings.Count(text, m.edits[i]))
		}
		text = strings.Replace(text, m.edits[i], m.edits[i+1], 1)
	}
	mutated := filepath.Join(t.TempDir(), filepath.Base(path))
	list, err := json.Marshal(map[string]map[string]string{"Replace": {path: mutated}})
	if err != nil {
		t.Fatal(err)
	}
	overlay := mutated + ".json"
	for name, bytes := range map[string][]byte{mutated: []byte(text), overlay: list} {
		if err := os.WriteFile(name, bytes, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return overlay
}
