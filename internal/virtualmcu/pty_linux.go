package virtualmcu

import (
	"cmp"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// A PTY is a pseudo-terminal: what is written to it comes out at Path, which
// others open as a serial port, and come and go.
type PTY struct {
	*os.File
	Path string
	port *os.File // open, so that reads go on when others leave
}

// OpenPTY returns a pseudo-terminal for ServeSerial.
func OpenPTY() (*PTY, error) {
	board, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, fmt.Errorf("open pseudo-terminal: %w", err)
	}
	p := &PTY{File: board}
	raw, err := board.SyscallConn()
	if err == nil {
		var failed error
		err = raw.Control(func(fd uintptr) { p.Path, failed = prepare(int(fd)) })
		err = cmp.Or(err, failed)
	}
	if err == nil {
		p.port, err = os.OpenFile(p.Path, os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		board.Close()
		return nil, fmt.Errorf("open pseudo-terminal: %w", err)
	}
	return p, nil
}

// Close ends both sides.
func (p *PTY) Close() error {
	return errors.Join(p.File.Close(), p.port.Close()) // the other way round, a read fails
}

// prepare unlocks a pseudo-terminal and makes it pass all bytes unchanged.
func prepare(fd int) (path string, err error) {
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return "", err
	}
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return "", err
	}
	t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
	t.Cflag = unix.CS8 | unix.CREAD | unix.CLOCAL | unix.B115200
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, t); err != nil {
		return "", err
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	return fmt.Sprintf("/dev/pts/%d", number), err
}
