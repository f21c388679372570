package agent_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/moult-ota/moult/internal/agent"
)

// TestOutputHasALimit: a program that prints without end does not fill memory.
func TestOutputHasALimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "loud")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nhead -c 3000000 /dev/zero\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := agent.RunProgram(t.Context(), path); err != nil || len(out) == 0 || len(out) > 1<<20 {
		t.Errorf("RunProgram kept %d bytes, %v", len(out), err)
	}
}
