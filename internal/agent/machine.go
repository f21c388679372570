package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/inventory"
	"github.com/moult-ota/moult/internal/slot"
	"github.com/moult-ota/moult/internal/update"
)

// A machine is the real device below an agent.
type machine struct {
	config  *Config
	running slot.Slot
	env     boot.Env // nil without slots
	loader  loader
	shared  io.Closer // what env lies in
	log     *slog.Logger
}

// openMachine finds out what runs, and opens the boot register.
func openMachine(ctx context.Context, c *Config, log *slog.Logger) (*machine, error) {
	m := &machine{config: c, log: log}
	slots, err := c.hasSlots()
	if err != nil || !slots {
		return m, err
	}
	if m.loader, err = c.loader(); err != nil {
		return nil, err
	}
	if m.running, err = m.whatRuns(ctx); err != nil {
		return nil, err
	}
	if m.env, m.shared, err = m.loader.open(c); err != nil {
		return nil, err
	}
	if f, ok := m.env.(frail); ok {
		log.Warn("boot loader", "warning", f.why)
	}
	return m, nil
}

func (m *machine) close() {
	if m.shared != nil {
		m.shared.Close()
	}
}

// open opens a slot to write.
func (m *machine) open(s slot.Slot) (slot.File, error) {
	return m.loader.slot(m.config, s)
}

func (m *machine) path(s slot.Slot) string { return m.config.slotPath(s) }

// whatRuns asks the configuration, a program, the kernel, or the mount table.
func (m *machine) whatRuns(ctx context.Context) (slot.Slot, error) {
	if m.config.RunningCommand != "" {
		out, err := run(ctx, m.config.RunningCommand)
		if err != nil {
			return slot.None, fmt.Errorf("find the running slot: %w", err)
		}
		return slot.Parse(strings.TrimSpace(string(out)))
	}
	if m.config.Running != "auto" {
		return slot.Parse(m.config.Running)
	}
	line, err := os.ReadFile("/proc/cmdline")
	if err == nil {
		for _, word := range strings.Fields(string(line)) {
			if name, ok := strings.CutPrefix(word, "moult.slot="); ok {
				return slot.Parse(name)
			}
		}
	}
	return m.mounted("/")
}

// mounted compares the file system at path with the slots' partitions.
func (m *machine) mounted(path string) (slot.Slot, error) {
	var root syscall.Stat_t
	if err := syscall.Stat(path, &root); err != nil {
		return slot.None, fmt.Errorf("find the running slot: %w", err)
	}
	for _, s := range []slot.Slot{slot.A, slot.B} {
		var part syscall.Stat_t
		if syscall.Stat(m.path(s), &part) == nil && part.Mode&syscall.S_IFMT == syscall.S_IFBLK && part.Rdev == root.Dev {
			return s, nil
		}
	}
	return slot.None, errors.New("find the running slot: neither slot is mounted at /, and the kernel command line has no moult.slot=; set running or running_command")
}

// options assembles an agent for this device.
func (m *machine) options(ctx context.Context, patient time.Duration) (Options, error) {
	c := m.config
	if err := os.MkdirAll(c.StateDir, 0o700); err != nil {
		return Options{}, fmt.Errorf("make state folder: %w", err)
	}
	keys, err := c.verifiers()
	if err != nil {
		m.log.Error("a verify key is not usable", "error", err)
	}
	o := Options{
		DeviceType: c.DeviceType, Verifiers: keys, Provides: m.provides(),
		Record: FileStore(m.state("record.json")), LogFile: FileStore(m.state("update.log")),
		Boot: m.env, Running: m.running, BootID: bootID(),
		Modules: c.ModulesDir, ModuleWork: m.state("modules"),
		Health: healthOf(c.HealthDir, c.HealthTimeout), Extra: m.inventory,
		Lock: fileLock{m.state("lock"), patient}.lock,
		Poll: c.Poll, Inventory: c.Inventory, Retry: c.Retry, RetryMax: c.RetryMax, Trial: c.Trial,
		Tries: uint8(min(c.Tries, 255)), Log: m.log, Ahead: true,
	}
	if m.env != nil {
		o.Open = m.open
	}
	return o, m.reach(ctx, &o)
}

// reach adds what talking to a server needs.
func (m *machine) reach(ctx context.Context, o *Options) (err error) {
	if o.Transport, err = m.config.transport(); err != nil || len(m.config.Servers) == 0 {
		return err
	}
	o.Servers, o.Token = m.config.Servers, m.config.Token
	o.MQTT = MQTT{
		Session: FileStore(m.state("session.json")), Cache: m.state("download"),
		ServerKeys: m.config.ServerKeys, Metered: m.config.Metered,
	}
	if t, ok := o.Transport.(*http.Transport); ok {
		o.MQTT.TLS = t.TLSClientConfig
	}
	if o.Key, err = m.config.deviceKey(); err != nil {
		return err
	}
	o.Identity, err = m.config.identity(ctx)
	return err
}

func (m *machine) state(name string) string { return filepath.Join(m.config.StateDir, name) }

// provides is what the running image provides before any update: what its
// slot's descriptor says, or an artifact_info file as Mender's images have it.
func (m *machine) provides() update.Provides {
	for _, path := range []string{"/etc/moult/artifact_info", "/etc/mender/artifact_info"} {
		text, err := os.ReadFile(path)
		if name, ok := pairs(string(text))["artifact_name"].(string); err == nil && ok {
			return update.Provides{"artifact_name": name}
		}
	}
	name := "unknown"
	if d, err := m.describe(m.running); err == nil && d.Artifact != "" {
		name = d.Artifact
	}
	return update.Provides{"artifact_name": name}
}

func (m *machine) describe(s slot.Slot) (slot.Descriptor, error) {
	if !s.Valid() {
		return slot.Descriptor{}, slot.ErrEmpty
	}
	f, err := m.open(s)
	if err != nil {
		return slot.Descriptor{}, err
	}
	defer f.Close()
	return slot.ReadDescriptor(f)
}

// bootID differs from boot to boot.
func bootID() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// inventory runs the programs of the inventory folder.
func (m *machine) inventory() inventory.Attributes {
	all := inventory.Attributes{}
	if name, err := os.Hostname(); err == nil {
		all["hostname"] = name
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		all["kernel"] = strings.TrimSpace(string(text))
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	paths, err := programs(m.config.InventoryDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.log.Warn("inventory", "error", err)
	}
	for _, path := range paths {
		out, err := run(ctx, path)
		if err != nil {
			m.log.Warn("inventory", "error", err)
		}
		for key, value := range pairs(string(out)) {
			all[key] = value
		}
	}
	return all
}
