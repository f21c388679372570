package exec_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/moult-ota/moult/internal/child"
)

// TestHears: what is sent is told as it comes, and output has its limit.
func TestHears(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "driver", "#!/bin/sh\n[ $1 = send ] && printf 'sent=1\\nsent=2\\n' && exit 0\nhead -c 100000 /dev/zero\n")
	c := open(t, dir+"/driver", dir)
	var told []int64
	if err := c.Send(t.Context(), child.Image{Bytes: []byte("abc")}, func(n int64) { told = append(told, n) }); err != nil || fmt.Sprint(told) != "[1 2 3]" {
		t.Errorf("Send = %v, told %d, want 1, 2, 3", err, told)
	}
	if _, err := c.State(t.Context()); err == nil || !strings.Contains(err.Error(), "more than 65536 bytes") {
		t.Errorf("State = %v, want it to be too much", err)
	}
}
