package exec_test

import (
	"context"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/child"
	"github.com/moult-ota/moult/internal/child/childtest"
	"github.com/moult-ota/moult/internal/child/exec"
)

var (
	old  = childtest.NewImage("1.0.0", 20<<10, nil)
	next = childtest.NewImage("2.0.0+7", 30<<10, nil)
)

// board returns a child whose flash is a folder.
func board(t *testing.T) (*exec.Child, string) {
	t.Helper()
	flash := t.TempDir()
	put(t, flash, "primary", string(old.Bytes))
	put(t, flash, "primary.version", old.Version.String()+"\n")
	put(t, flash, "primary.hash", hex.EncodeToString(old.Hash[:])+"\n")
	return open(t, "testdata/board.sh", flash), flash
}

func open(t *testing.T, program, flash string) *exec.Child {
	t.Helper()
	path, err := filepath.Abs(program)
	if err != nil {
		t.Fatal(err)
	}
	c, err := exec.New(exec.Options{Program: path, Folder: t.TempDir(), ID: "b1", Address: flash})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func put(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}

// TestSuite: a shell script passes what every driver must.
func TestSuite(t *testing.T) {
	for _, mute := range []bool{false, true} {
		t.Run(map[bool]string{false: "tells", true: "mute"}[mute], func(t *testing.T) {
			if mute {
				t.Setenv("MUTE", "1")
			}
			childtest.Run(t, func(t *testing.T) childtest.Bench {
				c, _ := board(t)
				return childtest.Bench{Child: c, Old: old, New: next, Mute: mute}
			})
		})
	}
}

// TestSent: the child has the very bytes.
func TestSent(t *testing.T) {
	c, flash := board(t)
	if err := c.Send(t.Context(), next, nil); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(flash, "secondary"))
	if err != nil || string(got) != string(next.Bytes) {
		t.Errorf("the child has %d bytes, %v; want the image's %d", len(got), err, len(next.Bytes))
	}
}

// TestExitCodes: each says what CONTRACT.md has it say.
func TestExitCodes(t *testing.T) {
	c, flash := board(t)
	put(t, flash, "off", "")
	if _, err := c.State(t.Context()); !errors.Is(err, child.ErrAway) || !strings.Contains(err.Error(), "no board on the bus") {
		t.Errorf("State = %v, want %v and its reason", err, child.ErrAway)
	}
	put(t, flash, "full", "")
	if err := c.Send(t.Context(), next, nil); !errors.Is(err, child.ErrRefused) || !strings.Contains(err.Error(), "does not fit") {
		t.Errorf("Send = %v, want %v and its reason", err, child.ErrRefused)
	}
	self := program(t, "exit 12")
	if err := self.Confirm(t.Context()); !errors.Is(err, child.ErrSelf) {
		t.Errorf("Confirm = %v, want %v", err, child.ErrSelf)
	}
	if err := self.Reset(t.Context()); err == nil || errors.Is(err, child.ErrSelf) {
		t.Errorf("Reset = %v, want an error of no special kind", err)
	}
}

func program(t *testing.T, script string) *exec.Child {
	t.Helper()
	dir := t.TempDir()
	put(t, dir, "driver", "#!/bin/sh\n"+script+"\n")
	return open(t, filepath.Join(dir, "driver"), dir)
}

// TestStrangeState: what is not in the contract is an error, and no state.
func TestStrangeState(t *testing.T) {
	for _, script := range []string{
		"true", "echo version=", "echo version=1.2.3.4", "echo hello", "echo version=1.0; echo confirmd=yes",
		"echo version=1.0; echo hash=ab; echo confirmed=yes", "echo version=1.0; echo version=2.0",
		"echo version=1.0; echo confirmed=true", "echo version=1.0; echo hash=" + strings.Repeat("ab", 32),
		"yes | head -c 100000", "exit 1", "kill -9 $$",
	} {
		if s, err := program(t, script).State(t.Context()); err == nil || errors.Is(err, child.ErrAway) {
			t.Errorf("%s: State = %+v, %v; want an error", script, s, err)
		}
	}
}

// TestStuckProgram: one that hangs is ended with what it started.
func TestStuckProgram(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "driver", "#!/bin/sh\nsleep 1000 &\necho $! >"+dir+"/pid\nwait\n")
	c, err := exec.New(exec.Options{Program: filepath.Join(dir, "driver"), Folder: dir, Time: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.State(t.Context()); !errors.Is(err, child.ErrAway) || !strings.Contains(err.Error(), "too long") {
		t.Errorf("State = %v, want %v", err, child.ErrAway)
	}
	pid, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) { // killed is not yet gone
		text, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
		if err != nil || strings.Contains(string(text), ") Z ") {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("what it started still runs: %s", text)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Reset(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Reset after the end = %v, want %v", err, context.Canceled)
	}
}

// TestNoProgram: found out before there is anything to update.
func TestNoProgram(t *testing.T) {
	for _, path := range []string{"", "testdata", "testdata/none", "exec_test.go"} {
		if _, err := exec.New(exec.Options{Program: path, Folder: "x"}); err == nil {
			t.Errorf("New(%q) = nil, want an error", path)
		}
	}
}
