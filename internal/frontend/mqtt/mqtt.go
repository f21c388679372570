// Package mqtt is the door for devices behind message brokers: it takes the
// frames of wire/securemsg from a broker.Broker, asks fleet.Core, and answers;
// it hands out objects, and calls devices when there is something new.
//
// The broker is trusted with nothing: every message may be forged, lost,
// doubled, late or another device's. Who sends is what its session proves, or
// the signature of its enrolment.
//
// What the door remembers of a device is worth one handshake: after a restart
// devices are asked for one with their next message. Several doors may serve
// one broker: a handshake goes to any of them, and from then on the one that
// took it answers.
package mqtt

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/moult-ota/moult/internal/broker"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/session"
	"github.com/moult-ota/moult/internal/wire/securemsg"
	"github.com/moult-ota/moult/internal/wire/topic"
)

// Options say how to serve. The first five are required.
type Options struct {
	Core    fleet.Core
	Members fleet.Members
	Broker  broker.Broker
	Objects Objects
	Keys    []session.ServerKey // newest first

	// After is the newest event at the start: what came before is not told.
	After fleet.Cursor
	// Types names the device types that a deployment is for, to hint to; nil
	// hints to none.
	Types func(context.Context, deployment.ID) ([]string, error)

	Limits  securemsg.Limits // asked of devices; zero fields mean defaults
	Expires time.Duration    // of an assignment; 0 means 48 hours
	Workers int              // that talk to devices; 0 means 8
	Seats   int              // devices that are remembered; 0 means 200,000

	// Replicas says that this is one of several doors of one broker.
	Replicas bool

	Ready func() // called once devices are heard; nil: nobody waits for that

	Rate   int64         // bytes a second of a carousel; 0 means 2 MiB
	Gather time.Duration // wait of a carousel for more who want it; 0 means 1 s

	Now    func() time.Time // nil means time.Now
	Random io.Reader        // nil means crypto/rand
	Logger *slog.Logger     // nil discards
}

func (o Options) withDefaults() Options {
	o.Limits.Message = or(o.Limits.Message, securemsg.MaxMessage)
	o.Limits.Window = or(o.Limits.Window, 16)
	o.Limits.Poll = or(o.Limits.Poll, 30*60)
	o.Expires = or(o.Expires, 48*time.Hour)
	o.Workers = or(o.Workers, 8)
	o.Seats = or(o.Seats, 200_000)
	o.Rate = or(o.Rate, 2<<20)
	o.Gather = or(o.Gather, time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func or[T comparable](v, zeroMeans T) T {
	var zero T
	if v == zero {
		return zeroMeans
	}
	return v
}

// A Door serves the devices of one broker.
type Door struct {
	Options
	responder *session.Responder
	rotating  bool // a suite has two keys
	desks     []*desk
	depot     *depot
	works     *workshop
	crowd     *crowd
}

// New returns a door; Run opens it.
func New(o Options) (*Door, error) {
	if o.Core == nil || o.Members == nil || o.Broker == nil || o.Objects == nil {
		return nil, errors.New("serve devices over MQTT: core, members, broker and objects are required")
	}
	d := &Door{Options: o.withDefaults(), crowd: newCrowd()}
	var err error
	if d.responder, err = session.NewResponder(d.Limits, o.Keys...); err != nil {
		return nil, fmt.Errorf("serve devices over MQTT: %w", err)
	}
	suites := map[securemsg.Suite]int{}
	for _, k := range o.Keys {
		suites[k.Suite]++
		d.rotating = d.rotating || suites[k.Suite] > 1
	}
	for range d.Workers {
		d.desks = append(d.desks, newDesk(d))
	}
	d.depot, d.works = newDepot(d), newWorkshop(d)
	return d, nil
}

// Public are the session keys that devices should pin.
func (d *Door) Public() []securemsg.ServerKey { return d.responder.Public() }

// Run serves until ctx ends or the broker fails.
func (d *Door) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var stops []func()
	defer func() {
		for _, stop := range stops {
			stop()
		}
	}()
	for _, s := range d.subscriptions() {
		stop, err := d.Broker.Subscribe(s.filter, s.group, s.hear)
		if err != nil {
			return fmt.Errorf("serve devices over MQTT: %w", err)
		}
		stops = append(stops, stop)
	}
	var all sync.WaitGroup
	d.depot.begin(func(run func(context.Context)) { all.Go(func() { run(ctx) }) })
	if d.Ready != nil {
		d.Ready()
	}
	for _, desk := range d.desks {
		all.Go(func() { desk.run(ctx) })
	}
	for range depotWorkers {
		all.Go(func() { d.depot.run(ctx) })
	}
	all.Go(func() { d.works.run(ctx) })
	err := d.watch(ctx)
	cancel()
	d.depot.begin(nil)
	all.Wait()
	d.depot.end()
	return err
}

type subscription struct {
	filter, group string
	hear          func(string, []byte)
}

// replicas is the group of all doors of one broker.
const replicas = "moult"

// subscriptions are what the door listens to. Of several doors one gets what
// any of them can answer; messages of a session go to all, and who has the
// session takes them. When the one that was to take care of it has not, it
// hints: if no door has the session, the device shakes hands again; else it
// has its answer before it acts on the hint.
func (d *Door) subscriptions() []subscription {
	if !d.Replicas {
		return []subscription{{topic.EnrollUp("+"), "", d.hearEnrolment}, {topic.Up("+"), "", d.hear(everything)}, {topic.Get("+", "+"), "", d.depot.hear}}
	}
	return []subscription{
		{topic.EnrollUp("+"), replicas, d.hearEnrolment}, {topic.Get("+", "+"), replicas, d.depot.hear},
		{topic.Up("+"), replicas, d.hear(strays)}, {topic.Up("+"), "", d.hear(sessions)},
	}
}

// A share is what a door takes of the frames of devices.
type share int

const (
	everything share = iota
	strays           // handshakes, and messages of sessions that this door does not have
	sessions         // messages of sessions that it has
)

// hear takes a frame of a device to its desk.
func (d *Door) hear(of share) func(string, []byte) {
	return func(t string, frame []byte) {
		d.at(t, func(ctx context.Context, k *desk, id securemsg.DeviceID) { k.frame(ctx, id, frame, of) })
	}
}

// hearEnrolment takes an enrolment request to its desk.
func (d *Door) hearEnrolment(t string, frame []byte) {
	d.at(t, func(ctx context.Context, k *desk, id securemsg.DeviceID) { k.enrol(ctx, id, frame) })
}

// at does something at the desk of the device that a topic belongs to. A desk
// that is behind drops it: the device says it again.
func (d *Door) at(t string, do func(context.Context, *desk, securemsg.DeviceID)) {
	name, _ := topic.Of(t)
	id, err := securemsg.ParseDeviceID(name)
	if err != nil {
		return
	}
	k := d.deskOf(id)
	select {
	case k.in <- func(ctx context.Context) { do(ctx, k, id) }:
	default:
		d.Logger.Debug("message dropped: too many", "device", id)
	}
}

func (d *Door) deskOf(id securemsg.DeviceID) *desk { return d.desks[int(id[0])%len(d.desks)] }

// everywhere does something at every desk, in its turn.
func (d *Door) everywhere(ctx context.Context, do func(context.Context, *desk)) {
	for _, k := range d.desks {
		select {
		case k.in <- func(ctx context.Context) { do(ctx, k) }:
		case <-ctx.Done():
			return
		}
	}
}

// publish sends; what does not arrive, somebody asks for again.
func (d *Door) publish(ctx context.Context, t string, payload []byte) {
	if err := d.Broker.Publish(ctx, t, payload, false); err != nil {
		d.Logger.Debug("publish", "error", err)
	}
}
