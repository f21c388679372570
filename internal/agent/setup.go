package agent

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/moult-ota/moult/internal/atomicfile"
	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/boot/register"
	"github.com/moult-ota/moult/internal/slot"
)

// setup writes the configuration from flags, and from answers on a terminal;
// then it prepares what the device needs, and says what is missing.
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
	pic.print(p.stdout)
	if len(pic.Problems) > 0 {
		return exitError, nil
	}
	return exitOK, nil
}

// ask asks for what flags and file did not say, when somebody is there.
func (p *program) ask() {
	f, ok := p.stdin.(*os.File)
	if !ok {
		return
	}
	if fi, err := f.Stat(); err != nil || fi.Mode()&os.ModeCharDevice == 0 {
		return
	}
	in := bufio.NewScanner(f)
	for _, name := range []string{"device-type", "servers", "verify-keys", "slot-a", "slot-b", "register"} {
		s := p.config.settings.Lookup(name)
		for s.Value.String() == "" {
			fmt.Fprintf(p.stdout, "%s (%s): ", name, strings.ReplaceAll(s.Usage, "`", ""))
			if !in.Scan() || strings.TrimSpace(in.Text()) == "" {
				break // left out; look says what that means
			}
			if err := s.Value.Set(strings.TrimSpace(in.Text())); err != nil {
				fmt.Fprintln(p.stdout, err)
			}
		}
	}
}

// prepare makes the device's key and a blank register's first entry.
func (p *program) prepare(ctx context.Context) error {
	if err := os.MkdirAll(p.config.StateDir, 0o700); err != nil {
		return fmt.Errorf("make state folder: %w", err)
	}
	if _, err := p.config.deviceKey(); err != nil {
		return err
	}
	if p.config.Register == "" {
		return nil
	}
	if _, err := os.Stat(p.config.Register); errors.Is(err, fs.ErrNotExist) {
		d, err := register.Create(p.config.Register)
		if err != nil {
			return err
		}
		d.Close()
	}
	m, err := openMachine(ctx, p.config, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer m.close()
	return m.adopt()
}

// adopt tells a blank register which image runs. The running slot must be
// described, and hold what it is described as.
func (m *machine) adopt() error {
	v, err := m.env.Load()
	if err != nil || v.Current != slot.None {
		return err
	}
	f, err := m.open(m.running)
	if err != nil {
		return err
	}
	defer f.Close()
	d, err := slot.Check(f)
	if err != nil {
		return fmt.Errorf("look at the running slot %v: %w; moult-agent provision puts a first image there", m.running, err)
	}
	return m.env.Save(boot.First(m.running, boot.ImageOf(d), d.Security))
}
