package snapshot

import (
	"os"
	"syscall"
)

// openMedium opens what is read past the page cache where that is possible:
// the cache of a device knows nothing of what was written to the file system
// on it.
func openMedium(path string) (*os.File, error) {
	if f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECT, 0); err == nil {
		return f, nil
	}
	return os.Open(path)
}
