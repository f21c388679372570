package embedded

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/moult-ota/moult/internal/broker"
	"github.com/moult-ota/moult/internal/wire/topic"
)

// A leaf is the broker of a gateway that is joined to this one: a message that
// many clients behind it wait for crosses the link once.
//
//	leaf ─► greeting: id SP password LF ─► this guard ─► NATS's own door
//	leaf ◄─ INFO … LF                   ◄─
//	leaf ─► CONNECT {…} LF              ─► with the password that NATS takes
//	leaf ◄─ …                           ─► as it comes

// Bounds of what a leaf may send before it is let in, in bytes and time.
const (
	maxGreeting = 4 << 10
	maxLine     = 8 << 10
	leafLogin   = 5 * time.Second
)

var errLeaf = errors.New("not a leaf")

// ServeLeaves accepts leaves on l until Close. The listener encrypts, or is
// private.
func (b *Broker) ServeLeaves(l net.Listener) error {
	if !b.keepDoor(l) {
		return broker.ErrClosed
	}
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return broker.ErrClosed
		}
		if err != nil {
			time.Sleep(50 * time.Millisecond) // no descriptors left, for example
			continue
		}
		go func() {
			defer c.Close()
			if err := b.leaf(c); err != nil {
				b.log.Info("leaf refused", "address", c.RemoteAddr(), "error", err)
			}
		}()
	}
}

// leaf lets one leaf in, and carries what it and NATS say.
func (b *Broker) leaf(c net.Conn) error {
	_ = c.SetDeadline(time.Now().Add(leafLogin))
	in := bufio.NewReaderSize(c, maxLine)
	n, err := b.greeted(c, in)
	if err != nil {
		return err
	}
	behind, err := net.Dial("tcp", b.leaves)
	if err != nil {
		return err
	}
	defer behind.Close()
	out := bufio.NewReaderSize(behind, maxLine)
	info, err := out.ReadSlice('\n')
	if err != nil {
		return err
	}
	if _, err := c.Write(info); err != nil {
		return err
	}
	connect, err := in.ReadSlice('\n')
	if err != nil {
		return fmt.Errorf("read CONNECT: %w", err)
	}
	if connect, err = relogin(connect, n.id, b.keys.issueLeaf(n)); err != nil {
		return err
	}
	if _, err := behind.Write(connect); err != nil {
		return err
	}
	_ = c.SetDeadline(time.Time{})
	b.seen(n.id, true)
	defer b.seen(n.id, false)
	defer b.holdLeaf(n.id, c)()
	carry(c, in, behind, out)
	return nil
}

// holdLeaf remembers a leaf's connection until it is let go of.
func (b *Broker) holdLeaf(id string, c net.Conn) (letGo func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.joined[id] = c
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.joined[id] == c {
			delete(b.joined, id)
		}
	}
}

// regroupAfter gathers the children that come to a gateway one after another.
const regroupAfter = 500 * time.Millisecond

// Regroup implements broker.Regrouper: what a leaf may carry is said when it
// joins, so it joins anew.
func (b *Broker) Regroup(gateway string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.joined[gateway] == nil || b.regroups[gateway] {
		return
	}
	b.regroups[gateway] = true
	time.AfterFunc(regroupAfter, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.regroups, gateway)
		if c := b.joined[gateway]; c != nil {
			c.Close()
		}
	})
}

// greeted reads the greeting and asks who that is.
func (b *Broker) greeted(c net.Conn, in *bufio.Reader) (node, error) {
	line, err := in.ReadSlice('\n')
	id, password, ok := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
	if err != nil || !ok || len(line) > maxGreeting || !topic.ValidID(string(id)) {
		return node{}, errors.Join(errLeaf, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), leafLogin)
	defer cancel()
	l := broker.Login{ClientID: string(id), Username: string(id), Password: string(password), Address: c.RemoteAddr()}
	r, err := b.authenticate(ctx, l)
	if err != nil {
		return node{}, err
	}
	if r != topic.Gateway {
		return node{}, fmt.Errorf("%w: %s is no gateway", errLeaf, id)
	}
	n := node{id: string(id), role: r}
	if b.children != nil {
		n.children, err = b.children(ctx, n.id)
	}
	return n, err
}

// relogin puts another login into a CONNECT line.
func relogin(line []byte, id, password string) ([]byte, error) {
	text, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("CONNECT "))
	var c map[string]any
	if !ok || json.Unmarshal(text, &c) != nil {
		return nil, fmt.Errorf("%w: no CONNECT", errLeaf)
	}
	c["user"], c["pass"] = id, password
	again, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	return append(append([]byte("CONNECT "), again...), "\r\n"...), nil
}

// carry copies both ways until either ends.
func carry(a net.Conn, fromA io.Reader, b net.Conn, fromB io.Reader) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(b, fromA)
		b.Close()
	}()
	_, _ = io.Copy(a, fromB)
	a.Close()
	<-done
}
