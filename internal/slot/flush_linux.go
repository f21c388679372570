//go:build linux && !arm

package slot

import (
	"os"
	"syscall"
)

// syncWrite is SYNC_FILE_RANGE_WRITE: start writing, do not wait.
const syncWrite = 2

// flush is a hint; Sync reports what goes wrong.
func flush(f *os.File, off, n int64) {
	_ = syscall.SyncFileRange(int(f.Fd()), off, n, syncWrite)
}
