package systemdboot_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/boot/systemdboot"
	"github.com/moult-ota/moult/internal/slot"
)

// esp makes a folder as an ESP has it.
func esp(t *testing.T, conf string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"loader/moult/a.conf": "linux /a/vmlinuz\n", "loader/moult/b.conf": "linux /b/vmlinuz\n", "loader/loader.conf": conf,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestDir fails when entries in a real folder are not those of a simulated one.
func TestDir(t *testing.T) {
	dir := esp(t, "timeout 0\ndefault moult-*\n")
	trial := must(t)(boot.Request(first, slot.B, imageB, 3))
	steps := []struct {
		save boot.Vars
		want []string
	}{
		{first, []string{"moult-1-a.conf"}},
		{trial, []string{"moult-1-a.conf", "moult-2-b+3.conf"}},
		{must(t)(boot.Confirm(trial, slot.B, 5)), []string{"moult-1-a.conf", "moult-3-b.conf"}},
		{must(t)(boot.RollBack(trial, slot.B, boot.ReasonOperator)), []string{"moult-4-a.conf"}},
	}
	for _, tt := range steps {
		for range 2 { // the second writes nothing
			env, err := systemdboot.Open(dir, slot.None)
			if err != nil {
				t.Fatal(err)
			}
			if err := env.Save(tt.save); err != nil {
				t.Fatal(err)
			}
			if v, err := env.Load(); v != tt.save || err != nil {
				t.Errorf("Load = %+v, %v, want %+v", v, err, tt.save)
			}
			var names []string
			list, _ := os.ReadDir(filepath.Join(dir, "loader/entries"))
			for _, e := range list {
				names = append(names, e.Name())
			}
			if !slices.Equal(names, tt.want) {
				t.Errorf("entries are %q, want %q", names, tt.want)
			}
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "loader/entries/moult-4-a.conf"))
	if string(text) != "linux /a/vmlinuz\n" || err != nil {
		t.Errorf("the entry is %q, %v", text, err)
	}
}

func TestDefault(t *testing.T) {
	for conf, want := range map[string]error{
		"default moult-*": nil, "default debian*\ndefault \"moult-*\"\n": nil,
		"": systemdboot.ErrDefault, "timeout 3\n": systemdboot.ErrDefault, "default @saved": systemdboot.ErrDefault, "#default moult-*": systemdboot.ErrDefault,
	} {
		if _, err := systemdboot.Open(esp(t, conf), slot.A); !errors.Is(err, want) {
			t.Errorf("Open with %q = %v, want %v", conf, err, want)
		}
	}
}
