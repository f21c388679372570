//go:build !linux

package virtualmcu

import (
	"errors"
	"os"
)

// A PTY is a pseudo-terminal.
type PTY struct {
	*os.File
	Path string
}

// OpenPTY is for Linux only.
func OpenPTY() (*PTY, error) {
	return nil, errors.New("open pseudo-terminal: only on Linux; use UDP")
}
