//go:build !linux

package dfu

import "errors"

// maxControl is how much data Linux takes in one control request, in bytes.
const maxControl = 4096

// Open is for Linux only.
func (l Linux) Open(Device) (Transport, error) {
	return nil, errors.New("open USB device: only on Linux")
}
