package agenttest

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/agent"
	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/slot"
)

// Limits of a device's life.
const (
	maxLives  = 60
	maxSleeps = 400
)

// A Device is a device in memory, with a server.
type Device struct {
	Power   *Power
	Server  *Server
	Images  []Image
	Options func(*agent.Options) // last changes; nil for none
	Boots   int
	Broken  []string // promises that were broken

	slots    [2]*disk
	env      *env
	record   *store
	journal  *store
	key      ed25519.PrivateKey
	keys     []artifact.Verifier
	running  slot.Slot
	image    Image // in it
	now      time.Time
	sleeps   int
	quiet    int // sleeps since all was at rest
	confirms int
}

// NewDevice returns a device that runs old in slot A, trusts s, and is cut at
// operation at (0: never).
func NewDevice(s *Signer, old Image, size int, at int, seed uint64) *Device {
	p := newPower(at, seed)
	d := &Device{
		Power: p, Server: &Server{power: p, Deployment: "d1"}, Images: []Image{old},
		slots: [2]*disk{newDisk(p, size), newDisk(p, size)}, env: &env{power: p},
		record: &store{power: p, kind: "record save"}, journal: &store{power: p, kind: "log save"},
		key: ed25519.NewKeyFromSeed(make([]byte, 32)), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	if s != nil {
		d.keys = []artifact.Verifier{s.Key}
	}
	content := old.bytes()
	desc := slot.Descriptor{Length: int64(len(content)), SHA256: sha256.Sum256(content), Security: uint32(old.Floor), Artifact: old.Name}
	page, err := slot.AppendDescriptor(nil, desc)
	must(err)
	room, err := slot.Capacity(d.slots[0])
	must(err)
	for _, half := range [][]byte{d.slots[0].stored, d.slots[0].cached} {
		copy(half, content)
		copy(half[room:], page)
	}
	d.env.vars = boot.First(slot.A, boot.ImageOf(desc), uint32(old.Floor))
	d.env.saved = d.watch
	d.Server.done = func() {
		if v := d.env.vars; v.Current != d.running || v.Trial != slot.None || d.confirms != 1 {
			d.violated("reported done, but the register holds %+v", v)
		}
	}
	return d
}

// watch sees every change of the register.
func (d *Device) watch(old, now boot.Vars) {
	if now.Current != old.Current {
		d.confirms++
		if d.running == now.Current && d.Server.State != deployment.Trying {
			d.violated("slot %v was confirmed while the server knew %q", now.Current, d.Server.State)
		}
	}
	if now.Floor < old.Floor {
		d.violated("the floor sank from %d to %d", old.Floor, now.Floor)
	}
	if now.Trial.Valid() && now.Trial != old.Trial {
		if _, err := slot.Check(d.slots[now.Trial-1]); err != nil {
			d.violated("slot %v was put on trial: %v", now.Trial, err)
		}
	}
}

func (d *Device) violated(format string, args ...any) {
	d.Broken = append(d.Broken, fmt.Sprintf(format, args...))
}

// SpoilDisk makes slot B store something else than what is written.
func (d *Device) SpoilDisk() { d.slots[1].spoilt = true }

// HealRegister makes saves work again.
func (d *Device) HealRegister() { d.env.good, d.env.fails = 0, 0 }

// WearRegister makes saves of the boot register fail, after some good ones.
func (d *Device) WearRegister(good, fails int) { d.env.good, d.env.fails = good, fails }

// open opens a slot.
func (d *Device) open(s slot.Slot) (slot.File, error) { return d.slots[s-1], nil }

// errQuiet ends a life in which nothing more happens.
var errQuiet = errors.New("nothing more happens")

// Live boots the device again and again, until nothing more happens.
func (d *Device) Live() {
	for d.Boots < maxLives {
		ctx, stop := context.WithCancel(context.Background())
		d.Power.on(stop)
		err := d.life(ctx)
		stop()
		if errors.Is(err, errQuiet) {
			return
		}
		if err != nil && !errors.Is(err, agent.ErrReboot) && !d.Power.off {
			d.violated("the agent stopped: %v", err)
			return
		}
	}
	d.violated("still busy after %d boots", d.Boots)
}

// life is one boot: the loader, then the agent of the image that it chose.
func (d *Device) life(ctx context.Context) error {
	d.Boots++
	d.sleeps, d.quiet = 0, 0
	decision, _ := boot.Boot(d.env, boot.CheckSlots(d.open, nil))
	if d.Power.off {
		return ErrPower
	}
	if decision.Action != boot.Run {
		d.violated("nothing to start: %s", decision.Why)
		return errQuiet
	}
	d.running = decision.Slot
	d.image = d.booted()
	if d.Running().Crashes {
		return nil
	}
	a, err := agent.New(d.options())
	if err != nil {
		return err
	}
	return a.Run(ctx)
}

// Running is the image that was booted.
func (d *Device) Running() Image { return d.image }

// booted looks which image is in the slot that was chosen.
func (d *Device) booted() Image {
	desc, err := slot.ReadDescriptor(d.slots[d.running-1])
	must(err)
	for _, i := range d.Images {
		if sha256.Sum256(i.bytes()) == desc.SHA256 {
			return i
		}
	}
	panic("agenttest: an unknown image runs: " + desc.Artifact)
}

func (d *Device) options() agent.Options {
	o := agent.Options{
		Identity: `{"mac":"00:11:22:33:44:55"}`, DeviceType: DeviceType, Key: d.key, Verifiers: d.keys,
		Provides: map[string]string{"artifact_name": d.Images[0].Name},
		Record:   d.record, LogFile: d.journal, Boot: d.env, Running: d.running, Open: d.open,
		Servers: []string{"http://server.test"}, Transport: d.Server,
		Health: func(context.Context) error {
			if d.Running().Sick {
				return errors.New("the sensor does not answer")
			}
			return nil
		},
		Poll: time.Minute, Retry: time.Second, RetryMax: 10 * time.Second, Trial: 5 * time.Minute,
		Now: func() time.Time { return d.now }, Sleep: d.sleep, Rand: rand.New(rand.NewPCG(1, 2)),
	}
	if d.Options != nil {
		d.Options(&o)
	}
	return o
}

// sleep lets time pass, and ends the life once the server knows the end and
// the device polls in peace.
func (d *Device) sleep(ctx context.Context, t time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.now = d.now.Add(t)
	d.sleeps++
	idle := strings.Contains(string(d.record.value), `"phase":"idle"`)
	ended := d.Server.State.Final() || d.Server.Artifact == nil
	if d.quiet++; !ended || !idle {
		d.quiet = 0
	}
	if d.quiet > 3 || d.sleeps > maxSleeps {
		return errQuiet
	}
	return nil
}

// Check compares what the server believes with what is true, and returns the
// promises that were broken.
func (d *Device) Check(old, now Image) []string {
	running, v := d.Running(), d.env.vars
	if _, err := slot.Check(d.slots[d.running-1]); err != nil {
		d.violated("the running image is not whole: %v", err)
	}
	if v.Current != d.running || v.Trial != slot.None {
		d.violated("slot %v runs, the register says current %v, trial %v", d.running, v.Current, v.Trial)
	}
	if done := d.Server.State == deployment.Done; done != (running == now) || !done && running != old {
		d.violated("the server knows %q, %s runs", d.Server.State, running.Name)
	}
	if !d.Server.State.Final() {
		d.violated("the server waits: %q", d.Server.State)
	}
	if d.confirms > 1 {
		d.violated("confirmed %d times", d.confirms)
	}
	if name := d.Server.Provides["artifact_name"]; name != running.Name {
		d.violated("the device says it is %q, %q runs", name, running.Name)
	}
	return d.Broken
}
