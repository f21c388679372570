package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// An Upstream is the broker that this one is a leaf of. NATS connects to it,
// again and again, through a socket of ours on loopback, which greets.
type Upstream struct {
	// Dial connects to ServeLeaves of the other, and encrypts.
	Dial func(ctx context.Context) (net.Conn, error)
	// Login is who we are, anew for each connection.
	Login func() (id, password string, err error)
}

// A joint is that socket.
type joint struct {
	Upstream
	l net.Listener
}

const dialTime = 30 * time.Second

func (u Upstream) open() (*joint, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("join broker: %w", err)
	}
	return &joint{u, l}, nil
}

// remote is what NATS is told.
func (j *joint) remote() *server.RemoteLeafOpts {
	return &server.RemoteLeafOpts{
		URLs:        []*url.URL{{Scheme: "nats-leaf", Host: j.l.Addr().String()}},
		Compression: server.CompressionOpts{Mode: server.CompressionOff}, FirstInfoTimeout: dialTime,
	}
}

// serve carries each connection of NATS to the other broker.
func (j *joint) serve(note func(error)) {
	for {
		c, err := j.l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(50 * time.Millisecond)
			continue
		}
		go func() {
			defer c.Close()
			if err := j.one(c); err != nil {
				note(err)
			}
		}()
	}
}

func (j *joint) one(c net.Conn) error {
	ctx, cancel := context.WithTimeout(context.Background(), dialTime)
	defer cancel()
	id, password, err := j.Login()
	if err != nil {
		return fmt.Errorf("join broker: %w", err)
	}
	up, err := j.Dial(ctx)
	if err != nil {
		return fmt.Errorf("join broker: %w", err)
	}
	defer up.Close()
	if _, err := up.Write([]byte(id + " " + password + "\n")); err != nil {
		return fmt.Errorf("join broker: %w", err)
	}
	carry(c, c, up, up)
	return nil
}

// leafDoor is NATS's own door for leaves.
func leafDoor() server.LeafNodeOpts {
	return server.LeafNodeOpts{
		Host: "127.0.0.1", Port: -1, NoAdvertise: true, AuthTimeout: leafLogin.Seconds(),
		Compression: server.CompressionOpts{Mode: server.CompressionOff}, ReconnectInterval: time.Second,
	}
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
