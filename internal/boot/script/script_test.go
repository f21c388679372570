package script_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/boot/script"
	"github.com/moult-ota/moult/internal/boot/variables"
)

func program(t *testing.T, text string) script.Store {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return script.Store{Program: path}
}

func TestRead(t *testing.T) {
	tests := []struct {
		name, text string
		want       variables.Set
		says       string // part of the error
	}{
		{"nothing", "", variables.Set{}, ""},
		{"lines", "test $1 = get && printf 'a=1\\n\\nb_2=x = y \\nc='", variables.Set{"a": "1", "b_2": "x = y ", "c": ""}, ""},
		{"no name", "echo =1", nil, "want lines of name=value"},
		{"no line of ours", "echo hello", nil, `printed "hello"`},
		{"failed", "echo a=1; echo no such chip >&2; exit 3", nil, `exit status 3: it says "no such chip"`},
		{"too much", "while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa=1; done | head -c 70000", nil, "more than 65536 bytes"},
		{"much to complain", "head -c 5000 /dev/zero | tr '\\0' x >&2; exit 1", nil, strings.Repeat("x", 512) + `"`},
	}
	for _, tt := range tests {
		got, err := program(t, tt.text).Read()
		if !maps.Equal(got, tt.want) || (err != nil) != (tt.says != "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: Read = %q, %v, want %q, %q", tt.name, got, err, tt.want, tt.says)
		}
	}
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	s := program(t, "test $1 = set && cat > "+dir+"/set")
	if err := s.Write(variables.Set{"b": "2 3", "a": ""}); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(filepath.Join(dir, "set")); string(got) != "a=\nb=2 3\n" {
		t.Errorf("the program was given %q", got)
	}
	for name, value := range map[string]string{"": "1", "a b": "1", "a=": "1", "a": "1\nb=2"} {
		if err := s.Write(variables.Set{name: value}); !errors.Is(err, script.ErrText) {
			t.Errorf("Write(%q=%q) = %v, want %v", name, value, err, script.ErrText)
		}
	}
	if err := program(t, "cat; exit 1").Write(variables.Set{"a": "1"}); err == nil {
		t.Error("Write by a program that fails = nil, want an error")
	}
	if err := (script.Store{Program: filepath.Join(dir, "none")}).Write(nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Write without a program = %v, want %v", err, os.ErrNotExist)
	}
}

// TestTime fails when a program, or what it started, holds up the agent.
func TestTime(t *testing.T) {
	for _, text := range []string{"sleep 60", "sleep 60 & wait", "sleep 60 & exit 0"} {
		s := program(t, text)
		s.Time = 300 * time.Millisecond
		began := time.Now()
		if _, err := s.Read(); err == nil {
			t.Errorf("%s: Read = nil, want an error", text)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s: Read took %v", text, took)
		}
	}
}
