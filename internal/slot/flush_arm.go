//go:build linux

package slot

import (
	"os"
	"syscall"
)

// flush is a hint; Sync reports what goes wrong. The 64-bit arguments go in
// pairs of registers, low word first, which is why the flags stand second here.
func flush(f *os.File, off, n int64, how int) {
	_, _, _ = syscall.Syscall6(syscall.SYS_ARM_SYNC_FILE_RANGE, f.Fd(), uintptr(how),
		uintptr(off), uintptr(off>>32), uintptr(n), uintptr(n>>32))
}
