package nic

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moult-ota/moult/internal/sbl/fetch"
)

// Dial connects to a server over TCP.
func Dial(to fetch.Addr, patience time.Duration) (fetch.Conn, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("connect to %v: %w", to, err)
	}
	err = unix.Connect(fd, &unix.SockaddrInet4{Addr: to.IP, Port: int(to.Port)})
	if errors.Is(err, unix.EINPROGRESS) {
		err = connected(fd, time.Now().Add(patience))
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("connect to %v: %w", to, err)
	}
	return os.NewFile(uintptr(fd), to.String()), nil // it does not block, so os.File polls it
}

// connected waits until a socket is connected, or is not going to be.
func connected(fd int, until time.Time) error {
	for {
		left := time.Until(until)
		if left <= 0 {
			return os.ErrDeadlineExceeded
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, int(left/time.Millisecond)+1)
		if errors.Is(err, unix.EINTR) || err == nil && n == 0 {
			continue
		}
		if err != nil {
			return err
		}
		code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
		if err != nil || code == 0 {
			return err
		}
		return syscall.Errno(code)
	}
}
