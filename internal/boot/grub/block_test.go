package grub_test

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moult-ota/moult/internal/boot/grub"
	"github.com/moult-ota/moult/internal/boot/variables"
)

// TestEditenv fails when grub-editenv and this package do not write the same
// bytes, or do not read what the other wrote.
func TestEditenv(t *testing.T) {
	steps := []variables.Set{
		{"mender_boot_part": "2"}, {"bootcount": "0"}, {"upgrade_available": "1"}, {"bootcount": "10"}, {"mender_boot_part": ""},
		{"odd": `a\b=c "d" #e`}, {"long": strings.Repeat(`\`, 200)}, {"bootcount": "1"}, {"long": "short"}, {"odd": "two\nlines"}, {"last": "x"},
	}
	path := filepath.Join(t.TempDir(), "env")
	editenv(t, path, "create")
	ours := read(t, path)
	all := variables.Set{}
	for _, s := range steps {
		for name, value := range s {
			editenv(t, path, "set", name+"="+value)
		}
		ours = change(t, ours, s)
		if theirs := read(t, path); !bytes.Equal(ours, theirs) {
			t.Fatalf("With(%q) wrote\n%q\ngrub-editenv\n%q", s, ours, theirs)
		}
		maps.Copy(all, s)
		b, err := grub.ParseBlock(ours)
		if err != nil || !maps.Equal(b.Set(), all) {
			t.Fatalf("Set = %q, %v, want %q", b.Set(), err, all)
		}
	}
	if list := editenv(t, path, "list"); !strings.Contains(list, "last=x\n") {
		t.Errorf("grub-editenv lists %q", list)
	}
}

func editenv(t *testing.T, path string, args ...string) string {
	t.Helper()
	out, err := exec.Command("grub-editenv", append([]string{path}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("grub-editenv %q: %v: %s", args, err, out)
	}
	return string(out)
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	p, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func change(t *testing.T, p []byte, s variables.Set) []byte {
	t.Helper()
	b, err := grub.ParseBlock(p)
	if err == nil {
		b, err = b.With(s)
	}
	if err != nil {
		t.Fatal(err)
	}
	return block(t, b)
}

// TestRefused is what a reader must not take for an environment.
func TestRefused(t *testing.T) {
	whole := string(block(t, grub.Block{"a=1"}))
	tests := map[string]string{
		"empty":             "",
		"short":             whole[:1023],
		"long":              whole + "#",
		"no signature":      strings.Repeat("#", grub.Size),
		"torn text":         whole[:26] + strings.Repeat("#", grub.Size-26),
		"text at the end":   whole[:1000] + strings.Repeat("x", 24),
		"no name":           strings.Replace(whole, "a=1", "=a1", 1),
		"no value":          strings.Replace(whole, "a=1", "a+1", 1),
		"escape at the end": strings.Replace(whole, "a=1", `a=\`, 1)[:28] + strings.Repeat("#", grub.Size-28),
	}
	for name, text := range tests {
		if b, err := grub.ParseBlock([]byte(text)); !errors.Is(err, grub.ErrBlock) {
			t.Errorf("%s: ParseBlock = %q, %v, want %v", name, b, err, grub.ErrBlock)
		}
	}
	if _, err := grub.AppendBlock(nil, grub.Block{"a=" + strings.Repeat("x", grub.Size)}); !errors.Is(err, grub.ErrFull) {
		t.Errorf("AppendBlock of too much = %v, want %v", err, grub.ErrFull)
	}
	for _, name := range []string{"", "#a", "a=b", "a\nb", `a\`} {
		if _, err := (grub.Block{}).With(variables.Set{name: "1"}); !errors.Is(err, grub.ErrText) {
			t.Errorf("With(%q) = %v, want %v", name, err, grub.ErrText)
		}
	}
}

// FuzzBlock fails when a block is accepted that would be written otherwise.
func FuzzBlock(f *testing.F) {
	for _, b := range []grub.Block{nil, {"a=1"}, {"# c", "a=1", `b=\\x`, "a=2"}} {
		p, _ := grub.AppendBlock(nil, b)
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		b, err := grub.ParseBlock(p)
		if err != nil {
			return
		}
		again, err := grub.AppendBlock(nil, b)
		if err != nil || !bytes.Equal(again, p) {
			t.Errorf("ParseBlock accepts %q and writes it as %q, %v", p, again, err)
		}
		want := maps.Clone(b.Set())
		want["bootcount"] = "7"
		c, err := b.With(variables.Set{"bootcount": "7"})
		if err != nil || !maps.Equal(c.Set(), want) {
			t.Errorf("With = %q, %v, want %q", c.Set(), err, want)
		}
	})
}
