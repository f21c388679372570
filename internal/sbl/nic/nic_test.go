package nic_test

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/sbl/fetch"
	"github.com/moult-ota/moult/internal/sbl/nic"
)

func TestParseNet(t *testing.T) {
	want := nic.Net{IP: [4]byte{10, 0, 2, 15}, Prefix: 24, Gateway: [4]byte{10, 0, 2, 2}}
	if got, err := nic.ParseNet("10.0.2.15/24  gateway 10.0.2.2"); got != want || err != nil {
		t.Errorf("ParseNet = %v, %v, want %v", got, err, want)
	}
	if got, err := nic.ParseNet("10.0.2.15/32"); got != (nic.Net{IP: want.IP, Prefix: 32}) || err != nil {
		t.Errorf("ParseNet = %v, %v", got, err)
	}
	for _, text := range []string{"", "10.0.2.15", "10.0.2.15/0", "10.0.2.15/33", "10.0.2.15/024", "10.0.2/24", "10.0.2.15/24 via 10.0.2.2",
		"10.0.2.15/24 gateway", "10.0.2.15/24 gateway x", "10.0.2.15/24 gateway 10.0.2.2 x", "::1/24"} {
		if got, err := nic.ParseNet(text); err == nil {
			t.Errorf("ParseNet(%q) = %v, nil, want an error", text, got)
		}
	}
}

// alone marks the process that has a network of its own.
const alone = "NIC_TEST_ALONE"

// TestUp runs this program again in a network of its own, where the only
// interface is switched off and has no address.
func TestUp(t *testing.T) {
	if os.Getenv(alone) != "" {
		up(t)
		return
	}
	c := exec.Command("/proc/self/exe", "-test.run=^TestUp$", "-test.v")
	c.Env = append(os.Environ(), alone+"=1")
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestUp") {
		t.Errorf("%v: %s", err, out)
	}
}

func up(t *testing.T) {
	here := fetch.Addr{IP: [4]byte{10, 1, 2, 3}, Port: 8080}
	if c, err := nic.Dial(here, time.Second); err == nil {
		c.Close()
		t.Error("Dial before Up = nil, want an error")
	}
	i, err := nic.Open("lo")
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	if mac, err := i.MAC(); mac != "00:00:00:00:00:00" || err != nil {
		t.Errorf("MAC = %s, %v", mac, err)
	}
	for range 2 { // the second time is no error
		if err := i.Up(nic.Net{IP: here.IP, Prefix: 20, Gateway: [4]byte{10, 1, 2, 1}}); err != nil {
			t.Fatal(err)
		}
	}
	routes, err := os.ReadFile("/proc/self/net/route")
	if err != nil || !strings.Contains(string(routes), "lo\t00000000\t0102010A\t0003\t") {
		t.Errorf("routes are\n%s%v", routes, err)
	}
	if a, err := net.InterfaceAddrs(); err != nil || len(a) == 0 || a[0].String() != "10.1.2.3/20" {
		t.Errorf("addresses are %v, %v", a, err)
	}
	l, err := net.Listen("tcp", here.String())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	talk(t, l, here)
}

func talk(t *testing.T, l net.Listener, to fetch.Addr) {
	c, err := nic.Dial(to, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	other, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := io.WriteString(c, "ask\n"); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 9)
	if n, err := other.Read(p); string(p[:n]) != "ask\n" || err != nil {
		t.Errorf("the server read %q, %v", p[:n], err)
	}
	if err := c.SetDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(p); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read of silence = %d, %v, want %v", n, err, os.ErrDeadlineExceeded)
	}
}

func TestDial(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	to := fetch.Addr{IP: [4]byte{127, 0, 0, 1}, Port: uint16(l.Addr().(*net.TCPAddr).Port)}
	talk(t, l, to)
	l.Close()
	if c, err := nic.Dial(to, time.Minute); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("Dial of nobody = %v, %v, want %v", c, err, syscall.ECONNREFUSED)
	}
}

// TestDialWaits fails when a server that does not answer holds a board up.
func TestDialWaits(t *testing.T) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	at, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	to := fetch.Addr{IP: [4]byte{127, 0, 0, 1}, Port: uint16(at.(*syscall.SockaddrInet4).Port)}
	for range 3 { // who listens with no backlog accepts one or two unasked
		var c fetch.Conn
		if c, err = nic.Dial(to, 100*time.Millisecond); err == nil {
			defer c.Close()
		}
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Dial of a full queue = %v, want %v", err, os.ErrDeadlineExceeded)
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, name := range []string{"", "nosuch0", strings.Repeat("x", 16)} {
		if _, err := nic.Open(name); err == nil {
			t.Errorf("Open(%q) = nil, want an error", name)
		}
	}
}
