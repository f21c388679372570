// Package nic brings a network interface up, and dials out, with nothing but
// system calls: package net takes more room than a boot loader has, and a
// boot kernel's initrd has no programs. IPv4 only.
package nic

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/moult-ota/moult/internal/sbl/fetch"
)

// A Net is an address with the length of its network, and the way out.
type Net struct {
	IP      [4]byte
	Prefix  int     // bits
	Gateway [4]byte // zero: none
}

// ParseNet reads "10.0.2.15/24" or "10.0.2.15/24 gateway 10.0.2.2".
func ParseNet(text string) (n Net, err error) {
	bad := fmt.Errorf("read address %q: want ADDRESS/BITS [gateway ADDRESS]", text)
	f := strings.Fields(text)
	if len(f) != 1 && (len(f) != 3 || f[1] != "gateway") {
		return n, bad
	}
	ip, bits, _ := strings.Cut(f[0], "/")
	var ok bool
	if n.IP, ok = fetch.ParseIP(ip); !ok {
		return n, bad
	}
	for n.Prefix = 1; n.Prefix < 32 && fmt.Sprint(n.Prefix) != bits; {
		n.Prefix++
	}
	if fmt.Sprint(n.Prefix) != bits {
		return n, bad
	}
	if len(f) == 3 {
		if n.Gateway, ok = fetch.ParseIP(f[2]); !ok {
			return n, bad
		}
	}
	return n, nil
}

// A request is a struct ifreq of netdevice(7).
type request struct {
	name [unix.IFNAMSIZ]byte
	data [24]byte
}

// A route is a struct rtentry of net/route.h.
type route struct {
	_                  uintptr
	dst, gateway, mask [16]byte
	flags              uint16
	_                  int16
	_                  uintptr
	_                  unsafe.Pointer
	metric             int16
	_                  unsafe.Pointer // device
	_, _               uintptr
	_                  uint16
}

// An Interface is a network interface.
type Interface struct {
	name string
	fd   int // any socket will do
}

// Open returns the interface of a name, which must be there. Close it.
func Open(name string) (*Interface, error) {
	if name == "" || len(name) >= unix.IFNAMSIZ {
		return nil, fmt.Errorf("open interface %q: no name of one", name)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open interface %s: %w", name, err)
	}
	i := &Interface{name, fd}
	if _, err := i.do("open", unix.SIOCGIFINDEX, nil); err != nil {
		i.Close()
		return nil, err
	}
	return i, nil
}

// Close leaves the interface as it is.
func (i *Interface) Close() error { return unix.Close(i.fd) }

// MAC returns the hardware address, like 52:54:00:12:34:56.
func (i *Interface) MAC() (string, error) {
	d, err := i.do("ask hardware address of", unix.SIOCGIFHWADDR, nil)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", d[2], d[3], d[4], d[5], d[6], d[7]), nil
}

// Up switches the interface on, with an address and perhaps a way out. Doing it
// again is no error.
func (i *Interface) Up(n Net) error {
	mask := binary.BigEndian.AppendUint32(nil, ^uint32(0)<<(32-n.Prefix))
	if _, err := i.do("set address of", unix.SIOCSIFADDR, sockaddr(n.IP)); err != nil {
		return err
	}
	if _, err := i.do("set network of", unix.SIOCSIFNETMASK, sockaddr([4]byte(mask))); err != nil {
		return err
	}
	flags, err := i.do("look at", unix.SIOCGIFFLAGS, nil)
	if err != nil {
		return err
	}
	on := binary.NativeEndian.Uint16(flags[:]) | unix.IFF_UP
	if _, err := i.do("switch on", unix.SIOCSIFFLAGS, binary.NativeEndian.AppendUint16(nil, on)); err != nil {
		return err
	}
	if n.Gateway == ([4]byte{}) {
		return nil
	}
	r := route{flags: unix.RTF_UP | unix.RTF_GATEWAY}
	copy(r.dst[:], sockaddr([4]byte{}))
	copy(r.mask[:], sockaddr([4]byte{}))
	copy(r.gateway[:], sockaddr(n.Gateway))
	if err := ioctl(i.fd, unix.SIOCADDRT, unsafe.Pointer(&r)); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("set gateway of %s: %w", i.name, err)
	}
	return nil
}

// sockaddr is a struct sockaddr_in.
func sockaddr(ip [4]byte) []byte {
	p := binary.NativeEndian.AppendUint16(make([]byte, 0, 16), unix.AF_INET)
	return append(append(p, 0, 0), append(ip[:], make([]byte, 8)...)...)
}

func (i *Interface) do(verb string, what uintptr, data []byte) ([24]byte, error) {
	var r request
	copy(r.name[:], i.name)
	copy(r.data[:], data)
	if err := ioctl(i.fd, what, unsafe.Pointer(&r)); err != nil {
		return r.data, fmt.Errorf("%s interface %s: %w", verb, i.name, err)
	}
	return r.data, nil
}

func ioctl(fd int, what uintptr, p unsafe.Pointer) error {
	if _, _, err := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), what, uintptr(p)); err != 0 {
		return err
	}
	return nil
}
