//go:build linux && !arm

package slot

import (
	"os"
	"syscall"
)

// flush is a hint; Sync reports what goes wrong.
func flush(f *os.File, off, n int64, how int) {
	_ = syscall.SyncFileRange(int(f.Fd()), off, n, how)
}
