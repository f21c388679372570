package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/moult-ota/moult/internal/atomicfile"
	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/slot"
)

// setup writes the configuration from flags, from what it finds on the device,
// and from answers on a terminal; then it prepares what the device needs, and
// says what is missing.
func (p *program) setup(ctx context.Context) (int, error) {
	if err := p.none(); err != nil {
		return 0, err
	}
	p.ask()
	if p.config.DeviceType == "" {
		return 0, fmt.Errorf("%w: --device-type is needed", errUsage)
	}
	if err := os.MkdirAll(filepath.Dir(p.config.path), 0o755); err != nil {
		return 0, fmt.Errorf("make configuration folder: %w", err)
	}
	if err := atomicfile.Write(p.config.path, p.config.JSON(false), 0o600); err != nil {
		return 0, err
	}
	fmt.Fprintf(p.stdout, "wrote        %s\n", p.config.path)
	if err := p.prepare(ctx); err != nil {
		return 0, err
	}
	pic := p.look(ctx)
	pic.Warnings = append(pic.Warnings, p.missing()...)
	pic.print(p.stdout)
	if len(pic.Problems) > 0 {
		return exitError, nil
	}
	if there("/run/systemd/system") {
		fmt.Fprintln(p.stdout, "next         systemctl restart moult-agent")
	}
	return exitOK, nil
}

// missing is what the device can do without, and how to add it.
func (p *program) missing() (all []string) {
	if len(p.config.Servers) == 0 {
		all = append(all, "no server: updates are installed by hand only; set servers")
	}
	if p.config.SlotA == "" {
		all = append(all, "no slots: only update modules install anything; label two partitions moult-a and moult-b, or set slot_a and slot_b")
	}
	return all
}

// prepare makes the device's key and a blank register's first entry.
func (p *program) prepare(ctx context.Context) error {
	if err := os.MkdirAll(p.config.StateDir, 0o700); err != nil {
		return fmt.Errorf("make state folder: %w", err)
	}
	if _, err := p.config.deviceKey(); err != nil {
		return err
	}
	slots, err := p.config.hasSlots()
	if err != nil || !slots {
		return err
	}
	if err := p.blankRegister(); err != nil {
		return err
	}
	m, err := openMachine(ctx, p.config, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer m.close()
	return m.adopt()
}

// blankRegister makes the register, or what the loader has instead, when there
// is none.
func (p *program) blankRegister() error {
	l, err := p.config.loader()
	if err != nil || l.create == nil {
		return err
	}
	return l.create(p.config)
}

// adopt tells blank variables which image runs. Where the loader checks
// images, the running slot must be described, and hold what it is described
// as.
func (m *machine) adopt() error {
	v, err := m.env.Load()
	if err != nil || v.Current != slot.None {
		return err
	}
	d, err := m.described()
	if err != nil {
		return err
	}
	return m.env.Save(boot.First(m.running, boot.ImageOf(d), d.Security))
}

// described is what the running slot holds; zero when nobody knows and nobody
// asks.
func (m *machine) described() (slot.Descriptor, error) {
	f, err := m.open(m.running)
	if err != nil {
		return slot.Descriptor{}, err
	}
	defer f.Close()
	if !m.loader.checks {
		d, err := slot.ReadDescriptor(f)
		if errors.Is(err, slot.ErrEmpty) || errors.Is(err, slot.ErrDescriptor) {
			return slot.Descriptor{}, nil
		}
		return d, err
	}
	d, err := slot.Check(f)
	if err != nil {
		return d, fmt.Errorf("look at the running slot %v: %w; moult-agent provision puts a first image there", m.running, err)
	}
	return d, nil
}
