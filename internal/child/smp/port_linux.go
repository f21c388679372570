package smp

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

var speeds = map[int]uint32{
	0: unix.B115200, 1200: unix.B1200, 2400: unix.B2400, 4800: unix.B4800, 9600: unix.B9600, 19200: unix.B19200,
	38400: unix.B38400, 57600: unix.B57600, 115200: unix.B115200, 230400: unix.B230400, 460800: unix.B460800,
	500000: unix.B500000, 921600: unix.B921600, 1000000: unix.B1000000, 2000000: unix.B2000000,
}

// CheckBaud refuses a speed that a port cannot have.
func CheckBaud(baud int) error {
	if _, ok := speeds[baud]; !ok {
		return fmt.Errorf("baud %d: want one of the usual rates, as 9600, 115200 or 1000000", baud)
	}
	return nil
}

// openPort opens a port that passes all bytes, for this process alone.
func openPort(path string, baud int) (*os.File, error) {
	if err := CheckBaud(baud); err != nil {
		return nil, err
	}
	// Without O_NONBLOCK the open waits for a carrier, and reads have no deadline.
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open serial port: %w", err)
	}
	raw, err := f.SyscallConn()
	if err == nil {
		var failed error
		err = errors.Join(raw.Control(func(fd uintptr) { failed = prepare(int(fd), speeds[baud]) }), failed)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("set up serial port %s: %w", path, err)
	}
	return f, nil
}

// prepare sets 8N1 without flow control, and drops what came before.
func prepare(fd int, speed uint32) error {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return err
	}
	t.Iflag, t.Oflag, t.Lflag = unix.IGNBRK, 0, 0
	t.Cflag = unix.CS8 | unix.CREAD | unix.CLOCAL | speed
	t.Ispeed, t.Ospeed = speed, speed
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, t); err != nil {
		return err
	}
	return unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIFLUSH)
}
