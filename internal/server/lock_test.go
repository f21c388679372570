package server

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
)

func TestTwoServersDoNotShareADirectory(t *testing.T) {
	dir := t.TempDir()
	first, err := lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = lock(dir)
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Fatalf("second lock = %v, want ErrLocked that names process %d", err, os.Getpid())
	}
	first.Close()
	again, err := lock(dir)
	if err != nil {
		t.Fatalf("lock after the first was let go: %v", err)
	}
	again.Close()
}
