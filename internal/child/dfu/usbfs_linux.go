package dfu

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

// controlTime is how long a request may take. What takes longer is in the
// device's poll timeout.
const controlTime = 5 * time.Second

// maxControl is how much data Linux takes in one control request, in bytes.
const maxControl = 4096

// control is Linux's struct usbdevfs_ctrltransfer.
type control struct {
	requestType, request uint8
	value, index, length uint16
	timeout              uint32 // milliseconds
	data                 unsafe.Pointer
}

// setting is Linux's struct usbdevfs_setinterface.
type setting struct{ number, alternate uint32 }

// dirs are the directions of an ioctl, as they stand in its number.
type dirs struct{ none, in, out uintptr }

// directions are those of <asm-generic/ioctl.h>, and others on MIPS and POWER.
func directions(arch string) dirs {
	switch arch {
	case "mips", "mipsle", "mips64", "mips64le", "ppc64", "ppc64le":
		return dirs{1, 2, 4}
	}
	return dirs{0, 4, 2}
}

// codes are the numbers of the ioctls of <linux/usbdevice_fs.h>.
type codes struct{ control, setting, claim, reset uintptr }

func codesOf(d dirs) codes {
	code := func(direction, number, size uintptr) uintptr { return direction<<29 | size<<16 | 'U'<<8 | number }
	return codes{
		control: code(d.in|d.out, 0, unsafe.Sizeof(control{})), setting: code(d.in, 4, unsafe.Sizeof(setting{})),
		claim: code(d.in, 15, unsafe.Sizeof(uint32(0))), reset: code(d.none, 20, 0),
	}
}

var ioctl = codesOf(directions(runtime.GOARCH))

// usbfs is an open device of Linux.
type usbfs struct{ f *os.File }

// Open opens the device's file.
func (l Linux) Open(d Device) (Transport, error) {
	path := filepath.Join("/", l.Root, "dev/bus/usb", fmt.Sprintf("%03d/%03d", d.Bus, d.Number))
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return usbfs{f}, nil
}

func (u usbfs) call(what string, code uintptr, arg unsafe.Pointer) (int, error) {
	n, _, e := syscall.Syscall(syscall.SYS_IOCTL, u.f.Fd(), code, uintptr(arg))
	runtime.KeepAlive(u.f)
	if e != 0 {
		return 0, fmt.Errorf("%s: %w", what, e)
	}
	return int(n), nil
}

func (u usbfs) Control(requestType, request uint8, value, index uint16, data []byte) (int, error) {
	if len(data) > maxControl {
		return 0, fmt.Errorf("request of %d bytes, at most %d", len(data), maxControl)
	}
	c := control{requestType, request, value, index, uint16(len(data)), uint32(controlTime.Milliseconds()), unsafe.Pointer(unsafe.SliceData(data))}
	return u.call("request", ioctl.control, unsafe.Pointer(&c))
}

func (u usbfs) Claim(number uint8) error {
	n := uint32(number)
	_, err := u.call("claim", ioctl.claim, unsafe.Pointer(&n))
	return err
}

func (u usbfs) SetAlt(number, alternate uint8) error {
	_, err := u.call("choose setting", ioctl.setting, unsafe.Pointer(&setting{uint32(number), uint32(alternate)}))
	return err
}

func (u usbfs) Reset() error {
	_, err := u.call("reset", ioctl.reset, nil)
	return err
}

func (u usbfs) Close() error { return u.f.Close() }
