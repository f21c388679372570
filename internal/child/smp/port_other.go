//go:build !linux

package smp

import (
	"errors"
	"os"
)

var errSystem = errors.New("serial ports need Linux")

// CheckBaud refuses every speed: serial ports need Linux.
func CheckBaud(int) error { return errSystem }

func openPort(string, int) (*os.File, error) { return nil, errSystem }
