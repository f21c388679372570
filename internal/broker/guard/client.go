package guard

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/moult-ota/moult/internal/broker"
	"github.com/moult-ota/moult/internal/wire/mqttpacket"
	"github.com/moult-ota/moult/internal/wire/topic"
)

// A client is one connection.
type client struct {
	net.Conn
	limits Limits
	in     reader
	subs   map[string]bool // filters, also those that the broker refused
}

// connect reads the first packet, which must be CONNECT.
func (c *client) connect() (con connect, err error) {
	first, n, err := mqttpacket.Head(c.in, c.limits.ConnectPacket)
	if err != nil {
		return con, fmt.Errorf("read CONNECT: %w", err)
	}
	if first != kindConnect<<4 {
		return con, fmt.Errorf("read CONNECT: %w: first byte %02x", errKind, first)
	}
	p := make([]byte, n)
	if err := c.in.body(p); err != nil {
		return con, fmt.Errorf("read CONNECT: %w", err)
	}
	con, refused, err := connectOf(p, c.limits)
	if err != nil {
		return con, c.refuse(refused, fmt.Errorf("read CONNECT: %w", err))
	}
	return con, nil
}

// refuse tells the client that it is not let in, and returns why.
func (c *client) refuse(answer byte, why error) error {
	if answer != 0 {
		_, _ = c.Write([]byte{2 << 4, 2, 0, answer})
	}
	return why
}

// pass carries packets between the client and the broker behind, until either
// ends. alive is how long the client may be silent.
func (c *client) pass(behind net.Conn, alive time.Duration) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.down(behind)
		c.Close() // ends up, too
	}()
	err := c.up(behind, alive)
	behind.Close()
	c.Close()
	<-done
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, errEnd) {
		return nil
	}
	return err
}

// down copies what the broker sends; it made it, so it is not looked at. A
// client that is busy has a large buffer, one that is idle a small one.
func (c *client) down(behind net.Conn) {
	var few [256]byte
	for {
		n, err := behind.Read(few[:])
		if n > 0 && c.send(few[:n]) != nil || err != nil {
			return
		}
		if n == len(few) && c.burst(behind) != nil {
			return
		}
	}
}

// bursts are buffers for clients that are sent much.
var bursts = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// burst copies until there is no more at once.
func (c *client) burst(behind net.Conn) error {
	buf := bursts.Get().(*[32 << 10]byte)
	defer bursts.Put(buf)
	for {
		if err := behind.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			return err
		}
		n, err := behind.Read(buf[:])
		if n > 0 {
			if err := c.send(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return behind.SetReadDeadline(time.Time{})
		case err != nil:
			return err
		}
	}
}

func (c *client) send(p []byte) error {
	if err := c.SetWriteDeadline(time.Now().Add(c.limits.Write)); err != nil {
		return err
	}
	_, err := c.Write(p)
	return err
}

// packets are buffers for one packet each, held only while it is handled.
var packets = sync.Pool{New: func() any { return new([broker.MaxPacket + 8]byte) }}

var errEnd = errors.New("client disconnects")

// up passes packets on, each as a whole and only after it was looked at.
func (c *client) up(behind net.Conn, alive time.Duration) error {
	for {
		if err := c.SetReadDeadline(time.Now().Add(alive)); err != nil {
			return err
		}
		first, n, err := mqttpacket.Head(c.in, min(c.limits.Packet, broker.MaxPacket))
		if err != nil {
			return err
		}
		if err := c.one(behind, first, n); err != nil {
			return err
		}
	}
}

func (c *client) one(behind net.Conn, first byte, n int) error {
	room := packets.Get().(*[broker.MaxPacket + 8]byte)
	defer packets.Put(room)
	p := mqttpacket.AppendHead(room[:0], first, n)
	head := len(p)
	p = p[:head+n]
	if err := c.in.body(p[head:]); err != nil {
		return err
	}
	end := c.check(first, p[head:])
	if end != nil && !errors.Is(end, errEnd) {
		return end
	}
	if _, err := behind.Write(p); err != nil {
		return fmt.Errorf("pass packet on: %w", err)
	}
	return end
}

// check returns nil when a packet may be passed on. It lowers what is asked
// for to QoS 0.
func (c *client) check(first byte, p []byte) error {
	switch first >> 4 {
	case kindPublish:
		return c.checkPublish(first&0x0f, p)
	case kindSubscribe, kindUnsubscribe:
		if first&0x0f != 2 {
			return fmt.Errorf("%w: flags of first byte %02x", errPacket, first)
		}
		return c.checkFilters(first>>4 == kindSubscribe, p)
	case kindPing, kindDisconnect:
		if first&0x0f != 0 || len(p) != 0 {
			return fmt.Errorf("%w: first byte %02x with %d bytes", errPacket, first, len(p))
		}
		if first>>4 == kindDisconnect {
			return errEnd
		}
		return nil
	}
	return fmt.Errorf("%w: first byte %02x", errKind, first)
}

func (c *client) checkPublish(flags byte, p []byte) error {
	name, _, err := text(p, c.limits.Topic)
	switch {
	case err != nil:
		return err
	case flags&^1 != 0:
		return fmt.Errorf("%w: PUBLISH with QoS or DUP", errKind)
	case name == "" || strings.ContainsAny(name, "+#"):
		return fmt.Errorf("%w: PUBLISH on %q", errPacket, name)
	}
	if _, kind := topic.Of(name); flags&1 != 0 && kind != topic.Alive("") {
		return fmt.Errorf("%w: PUBLISH on %q is retained", errKind, name)
	}
	return nil
}

// checkFilters counts the filters of SUBSCRIBE and UNSUBSCRIBE.
func (c *client) checkFilters(subscribe bool, p []byte) error {
	if len(p) < 2 || binary.BigEndian.Uint16(p) == 0 {
		return fmt.Errorf("%w: no packet identifier", errPacket)
	}
	p = p[2:]
	if len(p) == 0 {
		return fmt.Errorf("%w: no filter", errPacket)
	}
	for len(p) > 0 {
		f, rest, err := text(p, c.limits.Topic)
		if err != nil {
			return err
		}
		p = rest
		if !subscribe {
			delete(c.subs, f)
			continue
		}
		if len(p) == 0 || p[0] > 2 || f == "" {
			return fmt.Errorf("%w: filter %q without QoS", errPacket, f)
		}
		p[0], p = 0, p[1:]
		if err := c.subscribe(f); err != nil {
			return err
		}
	}
	return nil
}

func (c *client) subscribe(f string) error {
	if c.subs == nil {
		c.subs = map[string]bool{}
	}
	c.subs[f] = true
	if len(c.subs) > c.limits.Subscriptions {
		return fmt.Errorf("%w: subscription %d, at most %d", errKind, len(c.subs), c.limits.Subscriptions)
	}
	return nil
}
