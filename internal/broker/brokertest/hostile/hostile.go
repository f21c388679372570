// Package hostile is an MQTT 3.1.1 broker that belongs to an enemy, or stands
// on a bad line: it loses, doubles, holds back, changes and redirects what is
// published, says things of its own, and forgets everything, as a test tells
// it. It lets everybody in, and everybody may do all.
package hostile

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moult-ota/moult/internal/wire/mqttpacket"
)

// A Message is one that was published, or that the broker makes up.
type Message struct {
	From    string // client id; empty for what the broker makes up
	Topic   string
	Payload []byte
	To      string        // one client, subscribed or not; empty: who is subscribed
	Delay   time.Duration // before it is delivered
}

// A Broker listens on loopback until its test ends.
type Broker struct {
	listener net.Listener
	mu       sync.Mutex
	mangle   func(Message) []Message
	clients  map[string]*client
	retained map[string][]byte
	heard    []Message
	kept     int // bytes of heard
	lines    sync.WaitGroup
	closed   chan struct{}
}

// maxHeard bounds what a Broker remembers, in bytes.
const maxHeard = 64 << 20

// Start starts a broker that does as it should.
func Start(t testing.TB) *Broker {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &Broker{listener: l, clients: map[string]*client{}, retained: map[string][]byte{}, closed: make(chan struct{})}
	b.Mangle(nil)
	b.lines.Go(b.accept)
	t.Cleanup(func() {
		close(b.closed)
		l.Close()
		b.Wipe()
		b.lines.Wait()
	})
	return b
}

// Addr is where it listens.
func (b *Broker) Addr() string { return b.listener.Addr().String() }

// Mangle says what becomes of a message that is published; nil leaves all as
// they are.
func (b *Broker) Mangle(f func(Message) []Message) {
	if f == nil {
		f = func(m Message) []Message { return []Message{m} }
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mangle = f
}

// Heard returns what was published since the start, or the last Forget.
func (b *Broker) Heard() []Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.heard)
}

// Forget forgets what was heard.
func (b *Broker) Forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.heard, b.kept = nil, 0
}

// Say delivers a message, as if somebody had published it.
func (b *Broker) Say(m Message) {
	if m.Delay <= 0 {
		b.deliver(m)
		return
	}
	time.AfterFunc(m.Delay, func() { b.deliver(m) })
}

// Raw sends bytes to a client, MQTT or not.
func (b *Broker) Raw(id string, bytes []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.clients[id]; c != nil {
		c.send(bytes)
	}
}

// Wipe forgets what is retained, and cuts everybody off.
func (b *Broker) Wipe() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.retained)
	for _, c := range b.clients {
		c.conn.Close()
	}
}

// Clients are the ids of those that are connected.
func (b *Broker) Clients() (ids []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id := range b.clients {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func (b *Broker) accept() {
	for {
		c, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.lines.Go(func() { b.serve(c) })
	}
}

// publish mangles what a client says, and delivers what becomes of it.
func (b *Broker) publish(m Message, retain bool) {
	b.mu.Lock()
	if b.kept += len(m.Payload); b.kept < maxHeard {
		b.heard = append(b.heard, m)
	}
	if retain {
		b.retained[m.Topic] = m.Payload
	}
	mangle := b.mangle
	b.mu.Unlock()
	for _, m := range mangle(m) {
		b.Say(m)
	}
}

func (b *Broker) deliver(m Message) {
	packet := appendPublish(nil, m.Topic, m.Payload)
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, c := range b.clients {
		if m.To == id || m.To == "" && c.wants(m.Topic) {
			c.send(packet)
		}
	}
}

// A client is one connection.
type client struct {
	conn    net.Conn
	out     chan []byte
	filters []string // under the broker's lock
}

// send queues a packet; a client that is behind loses it.
func (c *client) send(packet []byte) {
	select {
	case c.out <- packet:
	default:
	}
}

func (c *client) wants(topic string) bool {
	return slices.ContainsFunc(c.filters, func(f string) bool { return covers(f, topic) })
}

func covers(filter, topic string) bool {
	fs, ts := strings.Split(filter, "/"), strings.Split(topic, "/")
	for i, f := range fs {
		if f == "#" {
			return true
		}
		if i >= len(ts) || f != "+" && f != ts[i] {
			return false
		}
	}
	return len(fs) == len(ts)
}

// maxPacket bounds what a client may say.
const maxPacket = 1 << 20

var errPacket = errors.New("not a packet of a client")

// serve is one connection, from CONNECT on.
func (b *Broker) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 4<<10)
	first, body, err := read(in)
	if err != nil || first>>4 != 1 || len(body) < 12 {
		return
	}
	id, _, err := text(body[10:])
	if err != nil {
		return
	}
	c := &client{conn: conn, out: make(chan []byte, 8<<10)}
	defer b.leave(id, c)
	b.join(id, c)
	b.lines.Go(func() {
		for packet := range c.out {
			if _, err := conn.Write(packet); err != nil {
				conn.Close()
			}
		}
	})
	c.send([]byte{0x20, 2, 0, 0})
	for {
		first, body, err := read(in)
		if err != nil || b.packet(id, c, first, body) != nil {
			return
		}
	}
}

func (b *Broker) join(id string, c *client) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if before := b.clients[id]; before != nil {
		before.conn.Close()
	}
	b.clients[id] = c
	select {
	case <-b.closed:
		c.conn.Close()
	default:
	}
}

func (b *Broker) leave(id string, c *client) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.clients[id] == c {
		delete(b.clients, id)
	}
	close(c.out)
	c.out = make(chan []byte) // what is sent from now on is lost
}

func (b *Broker) packet(id string, c *client, first byte, body []byte) error {
	switch first >> 4 {
	case 3:
		name, rest, err := text(body)
		if err != nil {
			return err
		}
		if qos := first >> 1 & 3; qos > 0 && len(rest) >= 2 {
			c.sendLocked(b, append([]byte{0x40, 2}, rest[:2]...))
			rest = rest[2:]
		}
		b.publish(Message{From: id, Topic: name, Payload: rest}, first&1 != 0)
	case 8:
		return b.subscribe(c, body)
	case 10:
		c.sendLocked(b, append([]byte{0xb0, 2}, body[:2]...))
	case 12:
		c.sendLocked(b, []byte{0xd0, 0})
	default:
		return errPacket
	}
	return nil
}

func (c *client) sendLocked(b *Broker, packet []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.send(packet)
}

func (b *Broker) subscribe(c *client, body []byte) error {
	if len(body) < 2 {
		return errPacket
	}
	answer, rest := append([]byte{0x90, 2}, body[:2]...), body[2:]
	var added []string
	for len(rest) > 0 {
		filter, more, err := text(rest)
		if err != nil || len(more) < 1 {
			return errPacket
		}
		added, rest = append(added, filter), more[1:]
		answer = append(answer, 0)
		answer[1]++
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	c.send(answer)
	c.filters = append(c.filters, added...)
	for name, payload := range b.retained {
		if slices.ContainsFunc(added, func(f string) bool { return covers(f, name) }) {
			c.send(appendPublish(nil, name, payload))
		}
	}
	return nil
}

func read(in *bufio.Reader) (first byte, body []byte, err error) {
	first, n, err := mqttpacket.Head(in, maxPacket)
	if err != nil {
		return 0, nil, err
	}
	body = make([]byte, n)
	_, err = io.ReadFull(in, body)
	return first, body, err
}

func text(src []byte) (string, []byte, error) {
	if len(src) < 2 || len(src)-2 < int(binary.BigEndian.Uint16(src)) {
		return "", nil, errPacket
	}
	n := int(binary.BigEndian.Uint16(src))
	return string(src[2 : 2+n]), src[2+n:], nil
}

func appendPublish(dst []byte, topic string, payload []byte) []byte {
	dst = mqttpacket.AppendHead(dst, 0x30, 2+len(topic)+len(payload))
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(topic)))
	return append(append(dst, topic...), payload...)
}
