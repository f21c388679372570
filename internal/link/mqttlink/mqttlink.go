// Package mqttlink reaches a server through a message broker, in the secure
// distribution: its frames are wire/securemsg's, its sessions package
// session's, its downloads wire/object's.
//
// The broker is trusted with nothing. Messages may be lost, doubled, late,
// forged or another device's; so the link repeats what was not acknowledged,
// takes nothing that its session or its object does not prove, and sets aside
// no more memory than it said beforehand, whatever a broker announces.
package mqttlink

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mrand "math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/inventory"
	"github.com/moult-ota/moult/internal/link"
	"github.com/moult-ota/moult/internal/session"
	"github.com/moult-ota/moult/internal/wire/securemsg"
)

// A Store keeps one small value, and its secrets: the session key, and the
// content key of the assignment under way.
type Store interface {
	// Load returns what was last saved, and nil when nothing was.
	Load() ([]byte, error)
	// Save replaces the value atomically: after a power cut Load returns the
	// old one or the new one. When Save returned nil: the new one.
	Save([]byte) error
}

// Options say whom to reach, and as whom. The first five are needed.
type Options struct {
	Servers  []string // mqtts://host:port, the next one when one does not answer
	Identity device.Identity
	Type     string // device type
	Key      crypto.Signer
	Store    Store

	Cache      Cache                 // where a download lies until it is installed; nil: nothing can be downloaded
	Token      string                // enrolment token; empty for none
	ServerKeys []securemsg.ServerKey // the only ones to talk to; none: those of the first answer
	TLS        *tls.Config           // nil: the system's roots
	Agent      string                // version of the program
	// Metered keeps traffic low: a sign of life every 15 minutes, and no
	// object that others asked for.
	Metered bool
	// Wake is called when there may be something to do; nil: nobody is woken.
	// It must not block.
	Wake func()

	Timeout time.Duration                                         // of one exchange; 0 means 45 seconds
	Dial    func(ctx context.Context, a string) (net.Conn, error) // to host:port; nil: TCP
	Now     func() time.Time                                      // nil means time.Now
	Random  io.Reader                                             // nil means crypto/rand
	Rand    *mrand.Rand                                           // jitter; nil means seeded by chance
	Log     *slog.Logger                                          // nil means none
}

// suite is that of the link's sessions.
const suite = securemsg.X25519

// A Link is a link.Link over MQTT.
type Link struct {
	o     Options
	id    securemsg.DeviceID
	spki  []byte
	line  *line
	jitMu sync.Mutex // over Rand

	mu      sync.Mutex
	kept    *kept
	session *session.Session
	clock   serverClock
	waits   map[uint64]chan securemsg.Message // by number of the message
	shaking *session.Initiator
	shaken  chan struct{} // closed when shaking led to a session
	shakes  session.Shakes
	answers chan securemsg.Answer
	asked   securemsg.Nonce // of the enrolment that waits
	hinted  chan struct{}   // holds a token when the server asked for a handshake
	called  chan struct{}   // and one when there is something new
	fetch   *fetch          // under way; nil: none
	off     deployment.ID   // that was canceled last
	woken   time.Time

	reach sync.Mutex // held while the line is made ready
}

var _ link.Link = (*Link)(nil)

// New checks the options and reads what is kept; it does not connect.
func New(o Options) (*Link, error) {
	if len(o.Servers) == 0 || o.Key == nil || o.Store == nil {
		return nil, errors.New("reach server by MQTT: servers, key and store are needed")
	}
	o = o.withDefaults()
	spki, err := x509.MarshalPKIXPublicKey(o.Key.Public())
	if err != nil {
		return nil, fmt.Errorf("reach server by MQTT: %w", err)
	}
	if _, err := securemsg.ParseIdentityKey(spki); err != nil {
		return nil, fmt.Errorf("reach server by MQTT: %w", err)
	}
	l := &Link{
		o: o, spki: spki, id: securemsg.NewDeviceID(spki), waits: map[uint64]chan securemsg.Message{},
		answers: make(chan securemsg.Answer, 4), hinted: make(chan struct{}, 1), called: make(chan struct{}, 1),
	}
	if l.kept, err = load(o.Store, o.Random); err != nil {
		return nil, fmt.Errorf("reach server by MQTT: %w", err)
	}
	if len(o.ServerKeys) > 0 {
		l.kept.pin(o.ServerKeys)
	}
	l.line, err = newLine(l.o, l.id.String(), l.hear, l.gone)
	return l, err
}

func (o Options) withDefaults() Options {
	if o.Timeout == 0 {
		o.Timeout = 45 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.Rand == nil {
		o.Rand = mrand.New(mrand.NewPCG(mrand.Uint64(), mrand.Uint64()))
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Wake == nil {
		o.Wake = func() {}
	}
	if len(o.Agent) > securemsg.MaxAgent {
		o.Agent = o.Agent[:securemsg.MaxAgent]
	}
	return o
}

// ID is the device's name on the wire.
func (l *Link) ID() string { return l.id.String() }

// Traffic is how many bytes went over the line, all headers included.
func (l *Link) Traffic() (sent, received int64) { return l.line.sent.Load(), l.line.received.Load() }

// Close lets go of the broker, and ends a download.
func (l *Link) Close() error {
	l.mu.Lock()
	f := l.fetch
	l.mu.Unlock()
	if f != nil {
		f.Close()
	}
	l.line.close()
	return nil
}

// Authenticate drops the session, and makes a new one.
func (l *Link) Authenticate(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.o.Timeout)
	defer cancel()
	l.drop()
	if err := l.enrol(ctx); err != nil {
		return fmt.Errorf("authenticate: %w", err)
	}
	if err := l.ready(ctx); err != nil {
		return fmt.Errorf("authenticate: %w", err)
	}
	return nil
}

// Next asks what to do.
func (l *Link) Next(ctx context.Context, r fleet.Report) (link.Offer, error) {
	answer, err := l.say(ctx, func(n uint64) securemsg.Message {
		return securemsg.CheckIn{Number: n, Type: r.Type, Provides: r.Provides}
	})
	if err == nil {
		if a, ok := answer.(securemsg.Assignment); ok {
			return l.take(a)
		}
		err = result(answer)
	}
	if err != nil {
		return link.Offer{}, fmt.Errorf("ask for work: %w", err)
	}
	l.tidy("")
	return link.Offer{}, nil
}

// Progress reports a state.
func (l *Link) Progress(ctx context.Context, p fleet.Progress) error {
	answer, err := l.say(ctx, func(n uint64) securemsg.Message {
		report := securemsg.NewProgress(n, p)
		report.Sent, report.Received = l.Traffic()
		return report
	})
	if err == nil {
		err = result(answer)
	}
	if err != nil {
		return fmt.Errorf("report %s: %w", p.State, err)
	}
	return nil
}

// Describe replaces the device's inventory, which has the line's traffic
// beside what the device says.
func (l *Link) Describe(ctx context.Context, all inventory.Attributes) error {
	said := inventory.Attributes{}
	for k, v := range all {
		said[k] = v
	}
	sent, received := l.Traffic()
	said["mqtt_bytes_sent"], said["mqtt_bytes_received"] = float64(sent), float64(received)
	answer, err := l.say(ctx, func(n uint64) securemsg.Message {
		return securemsg.Describe{Number: n, Replace: true, Attributes: said}
	})
	if err == nil {
		err = result(answer)
	}
	if err != nil {
		return fmt.Errorf("report inventory: %w", err)
	}
	return nil
}

// Log hands over the log of a deployment.
func (l *Link) Log(ctx context.Context, d deployment.ID, lines []link.Line) error {
	text := appendLog(nil, lines)
	for at := 0; at < len(text); {
		piece := text[at:min(at+logPiece, len(text))]
		answer, err := l.say(ctx, func(n uint64) securemsg.Message {
			return securemsg.Log{Number: n, Deployment: d, Offset: uint32(at), Total: uint32(len(text)), Piece: piece}
		})
		if err == nil {
			err = result(answer)
		}
		if err != nil {
			return fmt.Errorf("send log: %w", err)
		}
		at += len(piece)
	}
	return nil
}

// logPiece is how much of a log one message carries, in bytes: on a bad line
// a short one is sooner through.
const logPiece = 8 << 10

// appendLog writes a log as people read it.
func appendLog(dst []byte, lines []link.Line) []byte {
	for _, line := range lines {
		dst = append(dst, line.At.UTC().Format(time.RFC3339)+" "+line.Level+" "+line.Message+"\n"...)
	}
	if len(dst) > fleet.MaxLog {
		dst = dst[len(dst)-fleet.MaxLog:] // its end says why
	}
	return dst
}

// result is what an answer other than an assignment says.
func result(m securemsg.Message) error {
	a, ok := m.(securemsg.Ack)
	switch {
	case !ok:
		return fmt.Errorf("server answered with a %T", m)
	case a.Result == securemsg.ResultBusy:
		return &link.BusyError{After: time.Duration(a.Wait) * time.Second}
	}
	return a.Result.Err()
}

// jitter is a while up to d, by chance.
func (l *Link) jitter(d time.Duration) time.Duration {
	l.jitMu.Lock()
	defer l.jitMu.Unlock()
	return time.Duration(l.o.Rand.Int64N(int64(d) + 1))
}

// A serverClock is what the server said the time is, and how long ago.
type serverClock struct {
	said time.Time
	at   time.Time
}

func (c serverClock) now(local time.Time) time.Time { return c.said.Add(local.Sub(c.at)) }

// counters counts a connection's bytes.
type counters struct{ sent, received atomic.Int64 }
