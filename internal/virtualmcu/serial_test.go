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

// A listener reads what a console says.
type listener struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

// line returns the next one, empty when there is none for a while.
func (l listener) line(wait time.Duration) string {
	l.t.Helper()
	check(l.t, l.conn.SetReadDeadline(time.Now().Add(wait)))
	line, err := l.r.ReadString('\n')
	if err != nil {
		return ""
	}
	return line
}

// frames returns the next n lines of SMP, and any that come soon after.
func (l listener) frames(n int) (all []string) {
	l.t.Helper()
	for {
		wait := 5 * time.Second
		if len(all) >= n {
			wait = 30 * time.Millisecond
		}
		line := l.line(wait)
		if line == "" {
			return all
		}
		if strings.HasPrefix(line, "\x06\x09") || strings.HasPrefix(line, "\x04\x14") {
			all = append(all, line)
		}
	}
}

// listen attaches to a board's console and hears it boot.
func listen(t *testing.T, d *virtualmcu.Device) listener {
	t.Helper()
	conn := attach(t, d)
	l := listener{t, conn, bufio.NewReader(conn)}
	for _, want := range []string{"MCUboot", "Zephyr"} {
		if line := l.line(5 * time.Second); !strings.Contains(line, want) {
			t.Errorf("the console began with %q", line)
		}
	}
	return l
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
		"a spoilt line amid":          {echo1[:14] + "\n\x04\x14*\n\x04\x14" + echo1[14:], 0},
		"more than fits a buffer":     {"\x06\x09" + strings.Repeat("\x04\x14"+strings.Repeat("/", 120)+"\n", 10) + echo1, 1},
		"a line that never ends":      {strings.Repeat("x", 10000) + "\n" + echo1, 1},
		"only text":                   {"reboot\r\n", 0},
	} {
		l := listen(t, board(t, nil))
		_, err := l.conn.Write([]byte(tt.say))
		check(t, err)
		answers := l.frames(tt.answers)
		if len(answers) != tt.answers {
			t.Errorf("%s: %d answers, want %d", name, len(answers), tt.answers)
		}
		for _, line := range answers {
			packet := unframe(t, line)
			var m fields
			check(t, cbor.Unmarshal(packet[8:], &m))
			if m["r"] != "hello" || packet[6] != 42 {
				t.Errorf("%s: answer %x", name, packet)
			}
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
	l := listen(t, board(t, nil))
	_, err := l.conn.Write([]byte("\x06\x09AAsAAAABAAEAAKCG/g==\n")) // image list
	check(t, err)
	parts := l.frames(2)
	if len(parts) != 2 || parts[1][:2] != "\x04\x14" || len(parts[0]) > 127 {
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
