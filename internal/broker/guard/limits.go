package guard

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/moult-ota/moult/internal/broker"
	"github.com/moult-ota/moult/internal/wire/topic"
)

// Limits bound what strangers and clients may cost; zero means the default.
type Limits struct {
	Connections   int           // at once; default 65,536
	PerAddress    int           // at once from one address; default 4,096
	PerSecond     int           // new ones from one address, and twice that at once; default 200
	Connect       time.Duration // from accept to CONNECT, TLS included; default 5 s
	ConnectPacket int           // bytes of CONNECT; default 4 KiB
	Packet        int           // bytes of any other; default broker.MaxPacket
	Subscriptions int           // of one client; default 16
	Topic         int           // bytes of a topic or filter; default topic.Max
	KeepAlive     time.Duration // the longest, and of clients that ask for none; default 30 min
	Write         time.Duration // that a client may take for what it is sent; default 30 s
}

func (l Limits) orDefaults() Limits {
	or(&l.Connections, 65_536)
	or(&l.PerAddress, 4_096)
	or(&l.PerSecond, 200)
	or(&l.Connect, 5*time.Second)
	or(&l.ConnectPacket, 4<<10)
	or(&l.Packet, broker.MaxPacket)
	or(&l.Subscriptions, 16)
	or(&l.Topic, topic.Max)
	or(&l.KeepAlive, 30*time.Minute)
	or(&l.Write, 30*time.Second)
	return l
}

func or[T int | time.Duration](v *T, otherwise T) {
	if *v <= 0 {
		*v = otherwise
	}
}

var (
	errFull = errors.New("too many connections")
	errFast = errors.New("too many connections per second")
)

// A door counts who is inside.
type door struct {
	limits Limits
	mu     sync.Mutex
	inside int
	from   map[string]*source
}

// A source is one address: how many are inside, and a bucket of those that may
// still enter.
type source struct {
	inside int
	bucket float64
	at     time.Time
}

func newDoor(l Limits) *door { return &door{limits: l, from: map[string]*source{}} }

// enter lets a connection in, or says why not. Who entered leaves.
func (d *door) enter(a net.Addr, now time.Time) (leave func(), err error) {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		host = a.String()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.source(host, now)
	switch {
	case d.inside >= d.limits.Connections || s.inside >= d.limits.PerAddress:
		return nil, errFull
	case s.bucket < 1:
		return nil, errFast
	}
	s.bucket--
	s.inside++
	d.inside++
	return func() { d.leave(s) }, nil
}

func (d *door) leave(s *source) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s.inside--
	d.inside--
}

// maxSources is how many addresses are remembered before those that are empty
// and full of patience again are forgotten.
const maxSources = 4096

func (d *door) source(host string, now time.Time) *source {
	rate := float64(d.limits.PerSecond)
	s := d.from[host]
	if s == nil {
		if len(d.from) >= maxSources {
			d.forget(now)
		}
		s = &source{bucket: 2 * rate, at: now}
		d.from[host] = s
	}
	s.bucket = min(2*rate, s.bucket+now.Sub(s.at).Seconds()*rate)
	s.at = now
	return s
}

func (d *door) forget(now time.Time) {
	for host, s := range d.from {
		if s.inside == 0 && now.Sub(s.at) > 2*time.Second {
			delete(d.from, host)
		}
	}
}
