package mcu_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/agent"
	"github.com/moult-ota/moult/internal/agent/agenttest"
	"github.com/moult-ota/moult/internal/child"
	"github.com/moult-ota/moult/internal/child/childtest"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/install"
	"github.com/moult-ota/moult/internal/install/mcu"
	"github.com/moult-ota/moult/internal/mcupayload"
	"github.com/moult-ota/moult/mcuboot"
)

const size = 24 << 10 // of an image, in bytes

var (
	signer = agenttest.NewSigner()
	old    = childtest.NewImage("1.0.0", size, counter(1))
	new2   = childtest.NewImage("2.0.0", size, counter(2))
)

func counter(n uint32) func(*mcuboot.Spec) {
	return func(s *mcuboot.Spec) { s.Counter = &n }
}

// pack makes an artifact of an image.
func pack(image child.Image, change func(*artifact.Spec)) []byte {
	provides := map[string]string{}
	if im, _, err := mcuboot.Parse(image.Bytes); err == nil {
		provides = mcupayload.Provides("board", im)
	}
	return signer.Artifact(agenttest.Image{Name: "fw-" + image.Version.String(), Size: 1}, func(s *artifact.Spec) {
		s.PayloadType = mcu.PayloadType
		s.Files = []artifact.Source{{Name: "zephyr.signed.bin", Size: int64(len(image.Bytes)), Open: func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(image.Bytes)), nil
		}}}
		s.Provides, s.Clears = provides, []string{"board.*"}
		if change != nil {
			change(s)
		}
	})
}

// shelf is an mcu.Shelf that loses its power.
type shelf struct {
	power *agenttest.Power
	image []byte
	bad   bool
}

func (s *shelf) Load() ([]byte, error) {
	if s.power.Off() {
		return nil, agenttest.ErrPower
	}
	return s.image, nil
}

func (s *shelf) Save(b []byte) error {
	return s.power.Do("image save", func() {
		s.image = bytes.Clone(b)
		if s.bad {
			s.image[100] ^= 1
		}
	})
}

func (s *shelf) Clear() error { return s.power.Do("image remove", func() { s.image = nil }) }

// bus is the child as the gateway reaches it, until the gateway's power goes.
type bus struct {
	child.Child
	power *agenttest.Power
}

func (b bus) do(op func() error) (err error) {
	if off := b.power.Do("bus", func() { err = op() }); off != nil {
		return off
	}
	return err
}

func (b bus) State(ctx context.Context) (s child.State, err error) {
	err = b.do(func() (err error) { s, err = b.Child.State(ctx); return err })
	return s, err
}

func (b bus) Send(ctx context.Context, i child.Image, told func(int64)) error {
	return b.do(func() error {
		return b.Child.Send(ctx, i, func(n int64) {
			told(n)
			_ = b.power.Do("piece sent", func() {}) // a cut ends ctx
		})
	})
}

func (b bus) Try(ctx context.Context, i child.Image) error {
	return b.do(func() error { return b.Child.Try(ctx, i) })
}

func (b bus) Reset(ctx context.Context) error {
	return b.do(func() error { return b.Child.Reset(ctx) })
}

func (b bus) Confirm(ctx context.Context) error {
	return b.do(func() error { return b.Child.Confirm(ctx) })
}

// A world is a gateway with one child, and a server.
type world struct {
	power   *agenttest.Power
	server  *agenttest.Server
	child   *childtest.Fake
	bus     child.Child // how it is reached; the fake itself when nil
	truth   func() (image child.Image, confirmed bool)
	shelf   *shelf
	change  func(*mcu.Installer)
	options func(*agent.Options)
	record  agent.Store
	journal agent.Store
	now     time.Time
	old     child.Image
	next    child.Image
	nap     time.Duration // that a wait of the installer really takes
	boots   int
	sleeps  int
	quiet   int
	broken  []string
}

// newWorld returns one whose gateway is cut at operation at, 0 for never.
func newWorld(at int, seed uint64, artifact []byte) *world {
	p := agenttest.NewPower(at, seed)
	w := &world{
		power: p, old: old, next: new2, child: childtest.NewFake(old, seed), shelf: &shelf{power: p}, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		record: agenttest.NewStore(p, "record save"), journal: agenttest.NewStore(p, "log save"),
	}
	w.truth = func() (child.Image, bool) { return w.child.Running() }
	w.server = agenttest.NewServer(p, "d1", func() {
		if image, confirmed := w.truth(); image.Hash != w.next.Hash || !confirmed {
			w.violated("reported done, and the child runs %v, confirmed %v", image.Version, confirmed)
		}
	})
	w.server.Artifact, w.server.Name = artifact, "fw-2.0.0"
	return w
}

func (w *world) violated(format string, args ...any) {
	w.broken = append(w.broken, fmt.Sprintf(format, args...))
}

func (w *world) installer(note func(string, string)) install.Installer {
	var reached child.Child = w.child
	if w.bus != nil {
		reached = w.bus
	}
	i := &mcu.Installer{
		Child: bus{reached, w.power}, Shelf: w.shelf, Keys: []mcuboot.PublicKey{childtest.PublicKey()},
		Now: func() time.Time { return w.now }, Sleep: w.pass, Note: note,
	}
	if w.change != nil {
		w.change(i)
	}
	return i
}

var deviceKey = ed25519.NewKeyFromSeed(make([]byte, 32))

func (w *world) agent() (*agent.Agent, error) {
	o := agent.Options{
		Identity: `{"gateway":"g1","child":"c1"}`, DeviceType: agenttest.DeviceType, Key: deviceKey,
		Verifiers: []artifact.Verifier{signer.Key}, Record: w.record, LogFile: w.journal,
		Provides:   map[string]string{"artifact_name": "unknown", "board.version": w.old.Version.String()},
		Installers: map[string]agent.Maker{mcu.PayloadType: w.installer},
		Health: func(context.Context) error {
			if w.child.Sick() {
				return errors.New("the sensor does not answer")
			}
			return nil
		},
		Servers: []string{"http://server.test"}, Transport: w.server,
		Poll: time.Minute, Retry: time.Second, RetryMax: 10 * time.Second, Trial: 5 * time.Minute,
		Now: func() time.Time { return w.now }, Sleep: w.sleep, Rand: rand.New(rand.NewPCG(1, 2)),
	}
	if w.options != nil {
		w.options(&o)
	}
	return agent.New(o)
}

var errQuiet = errors.New("nothing more happens")

// pass is how the installer waits.
func (w *world) pass(ctx context.Context, d time.Duration) error {
	w.now = w.now.Add(d)
	time.Sleep(w.nap)
	return ctx.Err()
}

// sleep is how the agent waits; a life ends when it polls in peace.
func (w *world) sleep(ctx context.Context, d time.Duration) error {
	w.now = w.now.Add(d)
	w.sleeps++
	text, _ := w.record.Load()
	if w.quiet++; !w.server.State.Final() || !strings.Contains(string(text), `"phase":"idle"`) {
		w.quiet = 0
	}
	if w.quiet > 3 || w.sleeps > 600 {
		return errQuiet
	}
	return ctx.Err()
}

// live runs the gateway, over power cuts, until nothing more happens.
func (w *world) live() {
	for ; w.boots < 40; w.boots++ {
		ctx, stop := context.WithCancel(context.Background())
		w.power.On(stop)
		w.sleeps, w.quiet = 0, 0
		a, err := w.agent()
		if err == nil {
			err = a.Run(ctx)
		}
		stop()
		switch {
		case errors.Is(err, errQuiet):
			return
		case !w.power.Off():
			w.violated("the agent stopped: %v", err)
			return
		}
	}
	w.violated("still busy after %d boots", w.boots)
}

// check compares what the server believes with what is true.
func (w *world) check() []string {
	image, confirmed := w.truth()
	if image.Hash != w.old.Hash && image.Hash != w.next.Hash {
		w.violated("the child runs neither old nor new image")
	}
	if !confirmed {
		w.violated("the child is left on trial")
	}
	kept := strings.HasPrefix(w.server.Detail, "the new image is permanent, but")
	if done := w.server.State == deployment.Done || kept; done != (image.Hash == w.next.Hash) {
		w.violated("the server knows %q, the child runs %v", w.server.State, image.Version)
	}
	if !w.server.State.Final() {
		w.violated("the server waits: %q", w.server.State)
	}
	if got := w.server.Provides["board.version"]; got != image.Version.String() {
		w.violated("the gateway says that the child runs %q, it runs %v", got, image.Version)
	}
	if w.server.State == deployment.Done && w.shelf.image != nil {
		w.violated("an image is left on the gateway")
	}
	return w.broken
}
