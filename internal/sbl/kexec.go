//go:build amd64 || arm64 || arm || riscv64

package sbl

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// noInitrd is KEXEC_FILE_NO_INITRAMFS.
const noInitrd = 4

// kexecLoad is kexec_file_load(2). Kernels of 32-bit arm answer ENOSYS.
func kexecLoad(kernel, initrd int, line string, flags int) error {
	if err := unix.KexecFileLoad(kernel, initrd, line, flags); err != nil {
		return fmt.Errorf("load kernel: %w", err)
	}
	return nil
}
