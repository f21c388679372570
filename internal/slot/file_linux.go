package slot

import (
	"os"
	"syscall"
)

// openDirect opens path for reading past the page cache.
func openDirect(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECT, 0)
}
