package virtualmcu_test

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/moult-ota/moult/internal/virtualmcu"
)

// Echo of "hello", as a message of either version and its line on a console.
const (
	echo1 = "\x06\x09ABMCAAAJAAAqAKFhZGVoZWxsb40o\n"
	echo2 = "\x06\x09ABMKAAAJAAAqAKFhZGVoZWxsbwo4\n"
)

// lines reads what a console says, until it says nothing for a while.
func lines(t *testing.T, conn net.Conn) (all []string) {
	t.Helper()
	r := bufio.NewReader(conn)
	for {
		check(t, conn.SetReadDeadline(time.Now().Add(30*time.Millisecond)))
		line, err := r.ReadString('\n')
		if err != nil {
			return all
		}
		all = append(all, line)
	}
}

// attach serves a board's console and returns the other end.
func attach(t *testing.T, d *virtualmcu.Device) net.Conn {
	t.Helper()
	here, there := net.Pipe()
	done := make(chan error)
	go func() { done <- d.ServeSerial(there) }()
	t.Cleanup(func() {
		here.Close()
		if err := <-done; err != nil {
			t.Errorf("ServeSerial() = %v", err)
		}
	})
	return here
}

func TestSerial(t *testing.T) {
	corrupt := strings.Replace(echo1, "oZWx", "oZWy", 1)
	for name, tt := range map[string]struct {
		say     string
		answers int
	}{
		"v1":                          {echo1, 1},
		"v2":                          {echo2, 1},
		"after other text":            {"login: " + echo1, 1},
		"between other lines":         {"hello\r\n" + echo1 + "world\r\n", 1},
		"two":                         {echo1 + echo2, 2},
		"a wrong CRC":                 {corrupt, 0},
		"a start that is begun again": {echo1[:10] + "\n" + echo1, 1},
		"a rest without a start":      {"\x04\x14" + echo1[2:], 0},
		"in two lines":                {echo1[:14] + "\n\x04\x14" + echo1[14:], 1},
		"a line that never ends":      {strings.Repeat("x", 10000) + "\n" + echo1, 1},
		"only text":                   {"reboot\r\n", 0},
	} {
		conn := attach(t, board(t, nil))
		said := lines(t, conn)
		if len(said) == 0 || !strings.Contains(said[0], "Booting") {
			t.Errorf("%s: the console began with %q", name, said)
		}
		_, err := conn.Write([]byte(tt.say))
		check(t, err)
		n := 0
		for _, line := range lines(t, conn) {
			if strings.HasPrefix(line, "\x06\x09") {
				n++
				packet := unframe(t, line)
				var m fields
				check(t, cbor.Unmarshal(packet[8:], &m))
				if m["r"] != "hello" || packet[6] != 42 {
					t.Errorf("%s: answer %x", name, packet)
				}
			}
		}
		if n != tt.answers {
			t.Errorf("%s: %d answers, want %d", name, n, tt.answers)
		}
	}
}

func unframe(t *testing.T, line string) []byte {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(line[2:]))
	check(t, err)
	if n := int(binary.BigEndian.Uint16(raw)); n != len(raw)-2 {
		t.Fatalf("length %d of %d", n, len(raw))
	}
	return raw[2 : len(raw)-2]
}

// TestLongAnswer: what does not fit a line comes in several.
func TestLongAnswer(t *testing.T) {
	d := board(t, nil)
	conn := attach(t, d)
	lines(t, conn)
	_, err := conn.Write([]byte("\x06\x09AAsAAAABAAEAAKCG/g==\n")) // image list
	check(t, err)
	var parts []string
	for _, line := range lines(t, conn) {
		if strings.HasPrefix(line, "\x06\x09") || strings.HasPrefix(line, "\x04\x14") {
			parts = append(parts, line)
		}
		if len(line) > 127 {
			t.Errorf("line of %d bytes", len(line))
		}
	}
	if len(parts) != 2 || parts[1][:2] != "\x04\x14" {
		t.Errorf("%q", parts)
	}
}

func TestPTY(t *testing.T) {
	d := board(t, nil)
	tty, err := virtualmcu.OpenPTY()
	check(t, err)
	done := make(chan error)
	go func() { done <- d.ServeSerial(tty) }()
	for range 2 { // others come and go
		port, err := os.OpenFile(tty.Path, os.O_RDWR, 0)
		check(t, err)
		_, err = port.WriteString(echo1)
		check(t, err)
		r := bufio.NewReader(port)
		for line := ""; !strings.HasPrefix(line, "\x06\x09"); {
			line, err = r.ReadString('\n')
			check(t, err)
		}
		check(t, port.Close())
	}
	check(t, tty.Close())
	if err := <-done; err != nil {
		t.Errorf("ServeSerial() = %v", err)
	}
}
