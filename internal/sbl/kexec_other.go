//go:build !amd64 && !arm64 && !arm && !riscv64

package sbl

import (
	"errors"
	"fmt"
)

const noInitrd = 4

// kexecLoad has no system call to use here.
func kexecLoad(int, int, string, int) error {
	return fmt.Errorf("load kernel: kexec_file_load: %w", errors.ErrUnsupported)
}
