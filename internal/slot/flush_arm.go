//go:build linux

package slot

import (
	"os"
	"syscall"
)

// syncWrite is SYNC_FILE_RANGE_WRITE: start writing, do not wait.
const syncWrite = 2

// flush is a hint; Sync reports what goes wrong. The 64-bit arguments go in
// pairs of registers, low word first, which is why the flags stand second here.
func flush(f *os.File, off, n int64) {
	_, _, _ = syscall.Syscall6(syscall.SYS_ARM_SYNC_FILE_RANGE, f.Fd(), syncWrite,
		uintptr(off), uintptr(off>>32), uintptr(n), uintptr(n>>32))
}
