package guard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/broker"
	"github.com/moult-ota/moult/internal/wire/mqttpacket"
	"github.com/moult-ota/moult/internal/wire/topic"
)

// A hall is a guard with a broker behind it that keeps what came.
type hall struct {
	*testing.T
	addr   string
	behind chan net.Conn // connections that were opened
	asked  atomic.Int64  // logins that were asked about
}

func open(t *testing.T, l Limits) *hall {
	t.Helper()
	h := &hall{T: t, behind: make(chan net.Conn, 100)}
	g := New(Options{Limits: l, Open: h.open, Authenticate: func(_ context.Context, in broker.Login) (topic.Role, error) {
		h.asked.Add(1)
		if in.Password != "right" {
			return topic.None, errors.New("wrong password")
		}
		return topic.Gateway, nil
	}})
	in, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.addr = in.Addr().String()
	go func() { _ = g.Serve(in) }()
	t.Cleanup(func() { in.Close(); g.Close() })
	return h
}

func (h *hall) open(context.Context, string, topic.Role) (net.Conn, string, error) {
	near, far := net.Pipe()
	h.behind <- far
	return near, "once", nil
}

func (h *hall) dial() net.Conn {
	h.Helper()
	c, err := net.Dial("tcp", h.addr)
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

// login is a CONNECT as clients send it.
func login(id string, change func(*connect)) []byte {
	c := connect{ClientID: id, Username: id, Password: "right", KeepAlive: 60}
	if change != nil {
		change(&c)
	}
	return appendConnect(nil, c)
}

// in logs in, and returns both ends.
func (h *hall) in() (front, behind net.Conn) {
	h.Helper()
	front = h.dial()
	_, _ = front.Write(login("gw1", nil))
	select {
	case behind = <-h.behind:
	case <-time.After(10 * time.Second):
		h.Fatal("not let in")
	}
	_ = behind.SetDeadline(time.Now().Add(10 * time.Second))
	h.Cleanup(func() { behind.Close() })
	want := appendConnect(nil, connect{ClientID: "gw1", Username: "gw1", Password: "once", KeepAlive: 60})
	if got := take(behind, len(want)); !bytes.Equal(got, want) {
		h.Fatalf("behind came %q, want %q", got, want)
	}
	return front, behind
}

func take(c net.Conn, n int) []byte {
	p := make([]byte, n)
	n, _ = io.ReadFull(c, p)
	return p[:n]
}

func packet(first byte, body ...[]byte) []byte {
	all := bytes.Join(body, nil)
	return append(mqttpacket.AppendHead(nil, first, len(all)), all...)
}

func str(s string) []byte { return appendText(nil, s) }

func publish(name, payload string) []byte { return packet(0x30, str(name), []byte(payload)) }

func subscribe(qos byte, filters ...string) []byte {
	body := []byte{0, 9}
	for _, f := range filters {
		body = append(append(body, str(f)...), qos)
	}
	return packet(0x82, body)
}

// TestPassed: what may pass arrives byte for byte, but for its QoS.
func TestPassed(t *testing.T) {
	many := make([]string, 16)
	for i := range many {
		many[i] = fmt.Sprint("f", i)
	}
	tests := []struct {
		name     string
		in, want []byte
	}{
		{"publish", publish("moult/v1/up/gw1", "x"), nil},
		{"empty payload", publish("moult/v1/up/gw1", ""), nil},
		{"largest", publish("t", strings.Repeat("x", broker.MaxPacket-3)), nil},
		{"longest topic", publish(strings.Repeat("t", topic.Max), "x"), nil},
		{"retained by a gateway", packet(0x31, str(topic.Alive("gw1")), []byte("online")), nil},
		{"subscribe", subscribe(0, "a", "b"), nil},
		{"QoS is lowered", subscribe(2, "a", "b"), subscribe(0, "a", "b")},
		{"16 filters", subscribe(0, many...), nil},
		{"unsubscribe", packet(0xa2, []byte{0, 1}, str("a")), nil},
		{"ping", []byte{0xc0, 0}, nil},
		{"disconnect", []byte{0xe0, 0}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			front, behind := open(t, Limits{}).in()
			if tt.want == nil {
				tt.want = tt.in
			}
			go func() { _, _ = front.Write(tt.in) }()
			if got := take(behind, len(tt.want)); !bytes.Equal(got, tt.want) {
				t.Errorf("behind came %.60q, want %.60q", got, tt.want)
			}
		})
	}
}

// TestThrownOut: of what is refused after CONNECT not a byte arrives.
func TestThrownOut(t *testing.T) {
	seventeen := make([]string, 17)
	for i := range seventeen {
		seventeen[i] = fmt.Sprint("f", i)
	}
	tests := map[string][]byte{
		"too large a packet":         packet(0x30, str("t"), bytes.Repeat([]byte("x"), broker.MaxPacket)),
		"256 MB announced":           {0x30, 0xff, 0xff, 0xff, 0x7f},
		"length of five bytes":       {0x30, 0x80, 0x80, 0x80, 0x80, 0x01},
		"too long a topic":           publish(strings.Repeat("t", topic.Max+1), "x"),
		"topic longer than packet":   packet(0x30, []byte{0, 9}, []byte("abc")),
		"empty topic":                publish("", "x"),
		"wildcard in a topic":        publish("a/+", "x"),
		"topic with NUL":             publish("a\x00", "x"),
		"topic not UTF-8":            publish("a\xff", "x"),
		"QoS 1":                      packet(0x32, str("t"), []byte{0, 1}, []byte("x")),
		"retained by others":         packet(0x31, str("moult/v1/up/gw1"), []byte("x")),
		"17 filters":                 subscribe(0, seventeen...),
		"too long a filter":          subscribe(0, strings.Repeat("f", topic.Max+1)),
		"no filter":                  packet(0x82, []byte{0, 1}),
		"no identifier":              packet(0x82, []byte{0, 0}, str("f"), []byte{0}),
		"filter without QoS":         packet(0x82, []byte{0, 1}, str("f")),
		"QoS 3":                      subscribe(3, "f"),
		"the 7 bytes of a known bug": {0x82, 0x05, 0x00, 0x01, 0x00, 0x00, 0x00},
		"reserved flags":             packet(0x80, []byte{0, 1}, str("f"), []byte{0}),
		"CONNECT again":              login("gw1", nil),
		"CONNACK from a client":      {0x20, 2, 0, 0},
		"PUBREL":                     {0x62, 2, 0, 1},
		"ping with a body":           {0xc0, 1, 0},
		"kind 0":                     {0x00, 0},
		"kind 15":                    {0xf0, 0},
	}
	for name, in := range tests {
		t.Run(name, func(t *testing.T) {
			front, behind := open(t, Limits{}).in()
			go func() { _, _ = front.Write(in) }()
			if got, _ := io.ReadAll(behind); len(got) > 0 {
				t.Errorf("behind came %q", got)
			}
			if _, err := front.Read(make([]byte, 1)); err == nil {
				t.Error("the client was answered")
			}
		})
	}
}

// TestNotLetIn: what is refused at CONNECT opens nothing behind.
func TestNotLetIn(t *testing.T) {
	with := func(change func(*connect)) []byte { return login("gw1", change) }
	v5 := login("gw1", nil)
	v5[8] = 5
	noLogin := login("gw1", nil)
	noLogin[9] &^= flagPassword
	tests := []struct {
		name   string
		in     []byte
		answer byte // 0: none
		asked  int64
	}{
		{"wrong password", with(func(c *connect) { c.Password = "wrong" }), refusedLogin, 1},
		{"id is not the user's", with(func(c *connect) { c.ClientID = "gw2" }), refusedID, 0},
		{"empty id", login("", nil), refusedID, 0},
		{"id with a wildcard", login("+", nil), refusedID, 0},
		{"id with a level", login("a/b", nil), refusedID, 0},
		{"another's will", with(func(c *connect) { c.WillTopic = topic.Alive("gw2") }), refusedLogin, 1},
		{"no password", noLogin, refusedLogin, 0},
		{"MQTT 5", v5, refusedVersion, 0},
		{"CONNECT of more than 4 KiB", with(func(c *connect) { c.Password = strings.Repeat("x", 4<<10) }), 0, 0},
		{"256 MB announced", []byte{0x10, 0xff, 0xff, 0xff, 0x7f}, 0, 0},
		{"not CONNECT", publish("t", "x"), 0, 0},
		{"HTTP", []byte("GET / HTTP/1.1\r\n\r\n"), 0, 0},
		{"bytes after the password", func() []byte { p := login("gw1", nil); p[1]++; return append(p, 'x') }(), 0, 0},
		{"will of QoS 3", func() []byte {
			p := with(func(c *connect) { c.WillTopic = topic.Alive("gw1") })
			p[9] |= flagWillQoS
			return p
		}(), 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := open(t, Limits{})
			c := h.dial()
			_, _ = c.Write(tt.in)
			got, _ := io.ReadAll(c)
			var want []byte
			if tt.answer != 0 {
				want = []byte{0x20, 2, 0, tt.answer}
			}
			if !bytes.Equal(got, want) {
				t.Errorf("answer %q, want %q", got, want)
			}
			if len(h.behind) > 0 || h.asked.Load() != tt.asked {
				t.Errorf("%d connections behind, %d logins asked about; want none and %d", len(h.behind), h.asked.Load(), tt.asked)
			}
		})
	}
}

// TestSlowStrangers: who says nothing, or says it byte by byte, is out after
// the deadline.
func TestSlowStrangers(t *testing.T) {
	h := open(t, Limits{Connect: 200 * time.Millisecond})
	silent, slow := h.dial(), h.dial()
	go func() {
		for _, b := range login("gw1", nil) {
			if _, err := slow.Write([]byte{b}); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	for name, c := range map[string]net.Conn{"silent": silent, "slow": slow} {
		if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: read %d bytes, %v; want it closed", name, n, err)
		}
	}
	if len(h.behind) > 0 {
		t.Error("let in after the deadline")
	}
}

// TestSilentClient: who is let in and then says nothing is out after one and
// a half keep-alives.
func TestSilentClient(t *testing.T) {
	h := open(t, Limits{KeepAlive: time.Second})
	c := h.dial()
	_, _ = c.Write(login("gw1", func(c *connect) { c.KeepAlive = 0 }))
	began := time.Now()
	behind := <-h.behind
	go func() { _, _ = io.Copy(io.Discard, behind) }()
	if _, err := c.Read(make([]byte, 1)); err == nil || time.Since(began) > 8*time.Second {
		t.Errorf("Read() = %v after %v, want it closed", err, time.Since(began))
	}
}

func TestConnectionLimits(t *testing.T) {
	at := time.Unix(1e9, 0)
	a, b := &net.TCPAddr{IP: net.IP{10, 0, 0, 1}, Port: 1}, &net.TCPAddr{IP: net.IP{10, 0, 0, 2}, Port: 1}
	d := newDoor(Limits{Connections: 5, PerAddress: 3, PerSecond: 2}.orDefaults())
	enter := func(from net.Addr, now time.Time, want error) func() {
		t.Helper()
		leave, err := d.enter(from, now)
		if !errors.Is(err, want) {
			t.Fatalf("enter from %v = %v, want %v", from, err, want)
		}
		return leave
	}
	leave := enter(a, at, nil)
	enter(a, at, nil)
	enter(a, at, nil)
	enter(a, at, errFull) // of one address
	leave()
	enter(a, at, nil)
	enter(b, at, nil)
	enter(b, at, nil)
	enter(b, at, errFull) // of all
	leave2 := func() { d.leave(d.from["10.0.0.1"]) }
	leave2()
	enter(a, at, errFast) // four at once, then two a second
	enter(a, at.Add(500*time.Millisecond), nil)
}

// TestSourcesAreForgotten bounds what strangers leave behind.
func TestSourcesAreForgotten(t *testing.T) {
	d := newDoor(Limits{}.orDefaults())
	at := time.Unix(1e9, 0)
	for i := range 3 * maxSources {
		leave, err := d.enter(&net.TCPAddr{IP: net.IP{10, byte(i >> 16), byte(i >> 8), byte(i)}}, at.Add(time.Duration(i)*10*time.Millisecond))
		if err != nil {
			t.Fatal(err)
		}
		leave()
	}
	if len(d.from) > maxSources {
		t.Errorf("%d addresses remembered", len(d.from))
	}
}

// TestClosed: Close throws all out and waits.
func TestClosed(t *testing.T) {
	g := New(Options{Authenticate: func(context.Context, broker.Login) (topic.Role, error) { return topic.Device, nil }, Open: func(context.Context, string, topic.Role) (net.Conn, string, error) {
		near, far := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, far) }()
		return near, "", nil
	}})
	in, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = g.Serve(in) }()
	c, err := net.Dial("tcp", in.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = c.Write(login("gw1", nil))
	in.Close()
	g.Close()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("still connected")
	}
}

func FuzzConnect(f *testing.F) {
	f.Add(login("gw1", nil)[2:])
	f.Add(login("gw1", func(c *connect) { c.WillTopic, c.WillMessage, c.WillRetain = "w", "m", true })[2:])
	f.Fuzz(func(t *testing.T, p []byte) {
		l := Limits{}.orDefaults()
		c, _, err := connectOf(p, l)
		if err != nil {
			return
		}
		again := appendConnect(nil, c)
		_, n, err := mqttpacket.Head(newReader(pipe{bytes.NewReader(again)}), len(again))
		if err != nil {
			t.Fatal(err)
		}
		if got, _, err := connectOf(again[len(again)-n:], l); err != nil || got != c {
			t.Errorf("%+v became %+v, %v", c, got, err)
		}
	})
}

func FuzzPackets(f *testing.F) {
	f.Add(publish("t", "x"))
	f.Add(subscribe(2, "a", "b"))
	f.Add([]byte{0x82, 0x05, 0x00, 0x01, 0x00, 0x00, 0x00})
	f.Fuzz(func(t *testing.T, p []byte) {
		c := &client{limits: Limits{}.orDefaults(), in: newReader(pipe{bytes.NewReader(p)})}
		first, n, err := mqttpacket.Head(c.in, c.limits.Packet)
		if err != nil {
			return
		}
		body := make([]byte, n)
		if c.in.body(body) == nil {
			_ = c.check(first, body)
		}
	})
}

// pipe is a net.Conn that only reads.
type pipe struct{ io.Reader }

func (pipe) Write([]byte) (int, error)        { return 0, io.ErrClosedPipe }
func (pipe) Close() error                     { return nil }
func (pipe) LocalAddr() net.Addr              { return nil }
func (pipe) RemoteAddr() net.Addr             { return nil }
func (pipe) SetDeadline(time.Time) error      { return nil }
func (pipe) SetReadDeadline(time.Time) error  { return nil }
func (pipe) SetWriteDeadline(time.Time) error { return nil }
