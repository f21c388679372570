package sim

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mrand "math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/moult-ota/moult/internal/api/client"
	"github.com/moult-ota/moult/internal/deployment"
)

// Options say what world to make.
type Options struct {
	Devices   int    // 0 means 30
	Seed      uint64 // of every choice that the world makes
	Dir       string // where everything lives; must be empty
	ImageSize int64  // bytes; 0 means 4 MiB
	Rate      int64  // bytes a second of each device's line; 0 is as fast as it goes
	Log       *slog.Logger
}

const (
	maxDevices = 5000
	enrolWait  = 60 * time.Second // for all devices to be in
	pageSize   = 500
)

// A World is a server and its devices.
type World struct {
	o        Options
	rng      *mrand.Rand
	site     *site
	post     *post   // the gateway's; nil: too few devices for one
	boards   *boards // microcontrollers; nil: too few devices for a gateway
	builder  *Builder
	stranger *Builder
	tamperer *Tamperer
	machines []*Machine
	byID     map[string]*Machine // by the server's device id
	wg       sync.WaitGroup
	mu       sync.Mutex
	faults   []error // of machines, which never end by themselves
}

// NewWorld makes the world; nothing runs yet.
func NewWorld(o Options) (*World, error) {
	o.Devices = cmp.Or(o.Devices, 30)
	o.ImageSize = cmp.Or(o.ImageSize, 4<<20)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Devices < 1 || o.Devices > maxDevices {
		return nil, fmt.Errorf("make world: %d devices, want 1 to %d", o.Devices, maxDevices)
	}
	w := &World{o: o, rng: newRand(o.Seed), byID: map[string]*Machine{}}
	var err error
	if w.builder, err = NewBuilder(); err != nil {
		return nil, err
	}
	if w.stranger, err = NewBuilder(); err != nil {
		return nil, err
	}
	w.tamperer = &Tamperer{RoundTripper: &http.Transport{MaxIdleConnsPerHost: o.Devices, MaxIdleConns: 0}}
	return w, nil
}

// newRand returns the source of a world's choices.
func newRand(seed uint64) *mrand.Rand { return mrand.New(mrand.NewPCG(seed, 1)) }

// Start starts the server and plugs every device in.
func (w *World) Start(ctx context.Context) error {
	var err error
	if w.site, err = openSite(ctx, filepath.Join(w.o.Dir, "server"), w.o.Log); err != nil {
		return err
	}
	t, err := w.api().CreateEnrolmentToken(ctx, client.NewEnrolmentToken{Name: "demo", Uses: int64(w.o.Devices) + 2 + boardCount})
	if err != nil {
		return fmt.Errorf("create enrolment token: %w", err)
	}
	if w.o.Devices >= gatewayFrom {
		if w.post, err = openPost(ctx, w.site, filepath.Join(w.o.Dir, "gateway"), t.Secret, w.o.Log); err != nil {
			return err
		}
	}
	if w.post != nil {
		if w.boards, err = w.openBoards(filepath.Join(w.o.Dir, "bench"), t.Secret); err != nil {
			return fmt.Errorf("set up microcontrollers: %w", err)
		}
		go func() { w.boards.ran <- w.boards.gateway.Run(ctx) }()
	}
	for i := range w.o.Devices {
		if err := w.addMachine(i, t.Secret); err != nil {
			return err
		}
	}
	for _, m := range w.machines {
		w.wg.Go(func() {
			if err := m.Run(ctx); err != nil {
				w.mu.Lock()
				w.faults = append(w.faults, err)
				w.mu.Unlock()
			}
		})
	}
	if err := w.enrolled(ctx); err != nil || w.boards == nil {
		return err
	}
	return w.boardsEnrolled(ctx)
}

func (w *World) addMachine(i int, token string) error {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("make device key: %w", err)
	}
	name := fmt.Sprintf("dev-%0*d", len(fmt.Sprint(w.o.Devices)), i+1)
	m := &Machine{
		Name: name, dir: filepath.Join(w.o.Dir, name), seed: w.rng.Uint64(),
		token: token, transport: w.line(), key: key, trusted: w.builder.key, log: w.o.Log.With("device", name),
	}
	w.place(m, i)
	m, err = NewMachine(m, factory.Image, w.o.ImageSize, uint32(factory.Security))
	if err != nil {
		return err
	}
	w.machines = append(w.machines, m)
	return nil
}

// gatewayFrom is how many devices make a gateway worth while.
const gatewayFrom = 4

// place says how the i-th device reaches the server: every other one by HTTP,
// the rest through a broker, half of those behind the gateway.
func (w *World) place(m *Machine, i int) {
	switch {
	case i%2 == 0:
		m.servers = []string{w.site.url}
	case i%4 == 1 || w.post == nil:
		m.broker = w.site.options.MQTT
	default:
		m.broker, m.gateway = w.post.addr, w.post.id
	}
}

// line is a device's way to the network: some are half as fast as others.
func (w *World) line() Line {
	return Line{w.tamperer, w.o.Rate/2 + int64(w.rng.Float64()*float64(w.o.Rate/2))}
}

// enrolled waits until the server knows every device and its type.
func (w *World) enrolled(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, enrolWait)
	defer cancel()
	byName := map[string]*Machine{}
	for _, m := range w.machines {
		byName[m.Name] = m
	}
	for {
		devices, err := w.devices(ctx)
		if err != nil {
			return err
		}
		for _, d := range devices {
			if name, ok := d.Identity["serial"].(string); ok && d.Status == "accepted" && d.Type != "" {
				w.byID[d.ID] = byName[name]
			}
		}
		if len(w.byID) == len(w.machines) {
			return nil
		}
		if err := w.pause(ctx, 100*time.Millisecond); err != nil {
			return fmt.Errorf("%d of %d devices enrolled: %w", len(w.byID), len(w.machines), err)
		}
	}
}

// pause waits, and fails when the world ends or a machine broke.
func (w *World) pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return errors.Join(w.faults...)
}

// Wait waits until every machine is off; their contexts must have ended.
func (w *World) Wait() error {
	w.wg.Wait()
	return errors.Join(w.faults...)
}

func (w *World) api() *client.Client {
	return &client.Client{Server: w.site.url, Token: w.site.token, UserAgent: "moult-demo", Tries: 10}
}

func (w *World) devices(ctx context.Context) (all []client.Device, err error) {
	p := client.ListDevicesParams{Limit: pageSize}
	for {
		page, err := w.api().ListDevices(ctx, p)
		if err != nil {
			return nil, fmt.Errorf("list devices: %w", err)
		}
		all = append(all, page.Items...)
		if p.Cursor = page.NextCursor; p.Cursor == "" {
			return all, nil
		}
	}
}

// states is where the server says each machine stands in a deployment.
func (w *World) states(ctx context.Context, id string) (map[*Machine]client.Assignment, error) {
	all := map[*Machine]client.Assignment{}
	p := client.ListAssignmentsParams{Limit: pageSize}
	for {
		page, err := w.api().ListAssignments(ctx, id, p)
		if err != nil {
			return nil, fmt.Errorf("list assignments: %w", err)
		}
		for _, a := range page.Items {
			if m := w.byID[a.Device]; m != nil {
				all[m] = a
			}
		}
		if p.Cursor = page.NextCursor; p.Cursor == "" {
			return all, nil
		}
	}
}

// pick chooses some machines.
func (w *World) pick(share float64) []*Machine {
	n := max(1, int(share*float64(len(w.machines))))
	picked := slices.Clone(w.machines)
	w.rng.Shuffle(len(picked), func(i, j int) { picked[i], picked[j] = picked[j], picked[i] })
	return picked[:n]
}

func (w *World) rows(states map[*Machine]client.Assignment) []Row {
	rows := make([]Row, len(w.machines))
	for i, m := range w.machines {
		rows[i] = m.Row(deployment.State(states[m].State))
	}
	return rows
}
