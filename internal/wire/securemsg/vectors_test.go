package securemsg

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/vectors anew")

// A vector is a file of testdata/vectors:
//
//	form: up
//	expect: ok            or a part of the error
//	hex, 32 bytes a line
func (s sample) vector(expect string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "form: %s\nexpect: %s\n", s.form, expect)
	for line := range chunks(hex.EncodeToString(s.bytes), 64) {
		b.WriteString(line + "\n")
	}
	return b.String()
}

func chunks(s string, n int) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for len(s) > n && yield(s[:n]) {
			s = s[n:]
		}
		yield(s)
	}
}

// TestGoldenVectors fails when what we write is no longer what is stored.
func TestGoldenVectors(t *testing.T) {
	want := map[string]string{}
	for _, s := range samples(t) {
		want[s.name] = s.vector("ok")
	}
	for _, r := range refusals(t) {
		want["refuse-"+r.name] = r.vector(r.expect)
	}
	if *update {
		for name, text := range want {
			if err := os.WriteFile(filepath.Join("testdata/vectors", name+".txt"), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	files, err := filepath.Glob("testdata/vectors/*.txt")
	if err != nil || len(files) != len(want) {
		t.Errorf("%d vectors are stored (%v), want %d; run with -update", len(files), err, len(want))
	}
	for name, text := range want {
		if got, err := os.ReadFile(filepath.Join("testdata/vectors", name+".txt")); err != nil || string(got) != text {
			t.Errorf("%s: %v, stored\n%swant\n%s", name, err, got, text)
		}
	}
}

// TestVectors reads the files alone, as another implementation would.
func TestVectors(t *testing.T) {
	files, _ := filepath.Glob("testdata/vectors/*.txt")
	if len(files) < 40 {
		t.Fatalf("%d vectors", len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			form, expect, src := readVector(t, file)
			again, err := parsers[form](src)
			switch {
			case expect == "ok" && (err != nil || !bytes.Equal(again, src)):
				t.Errorf("parse %s = %x, %v, want %x", form, again, err, src)
			case expect != "ok" && (err == nil || !strings.Contains(err.Error(), expect)):
				t.Errorf("parse %s = %v, want an error with %q", form, err, expect)
			}
		})
	}
}

func readVector(t *testing.T, file string) (form, expect string, src []byte) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitN(string(text), "\n", 3)
	form, ok := strings.CutPrefix(lines[0], "form: ")
	expect, ok2 := strings.CutPrefix(lines[1], "expect: ")
	src, err = hex.DecodeString(strings.ReplaceAll(lines[2], "\n", ""))
	if !ok || !ok2 || err != nil || parsers[form] == nil {
		t.Fatalf("%s is no vector: %v", file, err)
	}
	return form, expect, src
}
