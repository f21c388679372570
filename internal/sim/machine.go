package sim

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/agent"
	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/boot/register"
	"github.com/moult-ota/moult/internal/device"
	"github.com/moult-ota/moult/internal/slot"
)

// A Machine is one virtual device: two slots and a boot register in a folder,
// a boot loader, and the agent that runs when an image starts.
type Machine struct {
	Name string

	dir       string
	seed      uint64
	servers   []string // by HTTP
	broker    string   // host:port of the broker that it uses instead; empty for none
	gateway   string   // in front of it; empty for none
	over      traffic  // to its broker
	token     string
	transport http.RoundTripper
	key       ed25519.PrivateKey
	trusted   artifact.Verifier
	log       *slog.Logger

	mu     sync.Mutex
	power  *Power // nil while off
	fuse   int    // disk operations until the power goes, for the next life too
	sight  agent.Sight
	slots  [2]string // versions
	runs   slot.Slot // None while off
	cuts   int       // how often the power was pulled
	pulled bool      // the last life ended so
	news   []string  // what happened, until somebody asks
	boots  int
}

// slotRoom is what a slot has beside the image, for its descriptor.
const slotRoom = 2 * slot.DescriptorSize

// NewMachine makes a machine in an empty folder, with image in slot A as it
// left the factory.
func NewMachine(m *Machine, image Image, size int64, security uint32) (*Machine, error) {
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make machine %s: %w", m.Name, err)
	}
	if err := m.flashFactoryImage(image, size, security); err != nil {
		return nil, fmt.Errorf("make machine %s: %w", m.Name, err)
	}
	return m, nil
}

// flashFactoryImage does what a factory does: image into slot A, register set.
func (m *Machine) flashFactoryImage(image Image, size int64, security uint32) error {
	for _, s := range []slot.Slot{slot.A, slot.B} {
		f, err := slot.CreateFile(m.slotPath(s), size+slotRoom)
		if err != nil {
			return err
		}
		defer f.Close()
		if s != slot.A {
			continue
		}
		w, err := slot.NewWriter(f, size)
		if err != nil {
			return err
		}
		sum := sha256.New()
		if err := image.Write(io.MultiWriter(w, sum), size, uint64(security)); err != nil {
			return err
		}
		d := slot.Descriptor{
			Length: size, SHA256: [32]byte(sum.Sum(nil)), Security: security,
			Artifact: "fw-" + image.Version, Version: image.Version, DeviceType: deviceType,
		}
		if err := w.Finish(d); err != nil {
			return err
		}
	}
	return m.setRegister(security)
}

func (m *Machine) setRegister(floor uint32) error {
	f, err := slot.OpenFile(m.slotPath(slot.A))
	if err != nil {
		return err
	}
	defer f.Close()
	d, err := slot.Check(f)
	if err != nil {
		return err
	}
	disk, err := register.Create(m.path("register"))
	if err != nil {
		return err
	}
	defer disk.Close()
	r, err := register.Open(disk)
	if err != nil {
		return err
	}
	return r.Save(boot.First(slot.A, boot.ImageOf(d), floor))
}

// Run is the machine's life from plugging it in until ctx ends: boot, run,
// reboot, and back after every power cut.
func (m *Machine) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		cut, err := m.live(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
		dark := 20 * time.Millisecond // a reset
		if cut {
			dark = 400 * time.Millisecond // somebody looks for the plug
		}
		select {
		case <-ctx.Done():
		case <-time.After(dark):
		}
	}
	return nil
}

// live is one life: power on, boot loader, image, until reset or power cut.
func (m *Machine) live(ctx context.Context) (cut bool, err error) {
	p := m.plugIn(ctx)
	defer p.End()
	hw, err := m.openHardware(p)
	if err != nil {
		return false, err
	}
	defer hw.close()
	err = m.boot(p, hw)
	cut = m.unplug(p)
	if cut || ctx.Err() != nil || errors.Is(err, agent.ErrReboot) {
		err = nil
	}
	return cut, err
}

func (m *Machine) plugIn(ctx context.Context) *Power {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.power = PowerOn(ctx)
	m.power.CutAfter(m.fuse)
	m.boots++
	return m.power
}

func (m *Machine) unplug(p *Power) (cut bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.power, m.runs = nil, slot.None
	if cut, m.pulled = p.WasCut(), p.WasCut(); cut {
		m.cuts++
		m.news = append(m.news, fmt.Sprintf("power pulled while %s", cmp.Or(m.sight.State, "starting")))
		m.fuse = 0
	}
	return cut
}

// boot is the boot loader, and what it starts.
func (m *Machine) boot(p *Power, hw *hardware) error {
	reg, err := register.Open(hw.register)
	if err != nil {
		return err
	}
	d, err := boot.Boot(reg, boot.CheckSlots(hw.open, nil))
	if err != nil {
		return err
	}
	if d.Action != boot.Run {
		return fmt.Errorf("no image to run: %s", d.Why)
	}
	return m.start(p, hw, reg, d.Slot)
}

// start runs the image in a slot.
func (m *Machine) start(p *Power, hw *hardware, reg boot.Env, s slot.Slot) error {
	m.look(hw, s)
	image, err := ReadImage(hw.slots[s-1])
	if err != nil {
		return err
	}
	if image.Crashes {
		return agent.ErrReboot // the watchdog bites
	}
	a, letGo, err := m.awaken(p, m.options(p, hw, reg, s, image))
	if err != nil {
		return err
	}
	defer letGo()
	return a.Run(p.Context())
}

// options are what every virtual device's agent runs with: seconds where a
// device in the field has minutes.
func (m *Machine) options(p *Power, hw *hardware, reg boot.Env, s slot.Slot, image Image) agent.Options {
	return agent.Options{
		Identity:   m.identity(),
		DeviceType: deviceType,
		Key:        m.key,
		Verifiers:  []artifact.Verifier{m.trusted},
		Provides:   map[string]string{"artifact_name": "fw-" + image.Version, "rootfs-image.version": image.Version},
		Record:     store{p, m.path("record")},
		LogFile:    store{p, m.path("log")},
		Boot:       reg,
		Running:    s,
		Open:       hw.open,
		Health:     func(context.Context) error { return health(image) },
		Servers:    m.servers,
		Token:      m.token,
		Transport:  m.transport,
		Poll:       300 * time.Millisecond,
		Retry:      100 * time.Millisecond,
		RetryMax:   time.Second,
		Trial:      20 * time.Second,
		Rand:       rand.New(rand.NewPCG(m.seed, uint64(m.bootCount()))),
		Log:        m.log,
		Watch: func(sight agent.Sight) {
			m.mu.Lock()
			m.sight = sight
			m.mu.Unlock()
		},
	}
}

func health(i Image) error {
	if i.Sick {
		return errors.New("self-test failed: the pump does not turn")
	}
	return nil
}

func (m *Machine) identity() device.Identity {
	id, err := gatewayIdentity(m.Name, m.gateway)
	if err != nil {
		panic(err) // a name that this package made
	}
	return id
}

func (m *Machine) bootCount() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.boots
}

// PullAfter pulls the power at the n-th disk operation from now.
func (m *Machine) PullAfter(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fuse = n
	if m.power != nil {
		m.power.CutAfter(n)
	}
}

func (m *Machine) path(name string) string { return filepath.Join(m.dir, name) }

func (m *Machine) slotPath(s slot.Slot) string { return m.path("slot-" + s.String()) }

func (m *Machine) cutCount() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cuts
}

// idle reports whether an image runs and no update is under way.
func (m *Machine) idle() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.runs != slot.None && (m.sight.State == "" || m.sight.State.Final())
}

// takeNews returns what happened since it was last asked.
func (m *Machine) takeNews() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	news := m.news
	m.news = nil
	return news
}
