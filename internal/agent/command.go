package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/moult-ota/moult/internal/link"
)

// patience is how long a command waits for a daemon that is at work.
const patience = 5 * time.Second

// daemon runs the agent until it is told to stop. SIGUSR1 polls at once;
// SIGHUP ends it when no update is under way.
func (p *program) daemon(ctx context.Context) (int, error) {
	if err := p.none(); err != nil {
		return 0, err
	}
	for ctx.Err() == nil {
		a, m, err := p.agent(ctx, 0)
		if err != nil {
			return 0, err
		}
		err = p.runDaemon(ctx, a)
		m.close()
		if !errors.Is(err, ErrReboot) && ctx.Err() == nil {
			return exitOK, err
		}
		if ctx.Err() == nil {
			m.reboot(ctx)
		}
	}
	return exitOK, nil
}

func (p *program) runDaemon(ctx context.Context, a *Agent) error {
	wake := make(chan os.Signal, 2)
	signal.Notify(wake, syscall.SIGUSR1, syscall.SIGHUP)
	defer signal.Stop(wake)
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case s := <-wake:
				if s == syscall.SIGHUP {
					a.Leave()
				} else {
					a.Poll()
				}
			case <-stop:
				return
			}
		}
	}()
	return a.Run(ctx)
}

// rebootTime is how long a reboot may take before it counts as failed.
const rebootTime = 10 * time.Minute

// reboot asks for a reboot and waits to be killed by it.
func (m *machine) reboot(ctx context.Context) {
	command := []string(m.config.RebootCommand)
	if _, err := os.Stat("/run/systemd/system"); err == nil && len(command) == 0 {
		command = []string{"systemctl", "reboot"}
	}
	var err error
	if len(command) > 0 {
		_, err = run(ctx, command[0], command[1:]...)
	} else {
		syscall.Sync()
		err = syscall.Reboot(syscall.LINUX_REBOOT_CMD_RESTART)
	}
	if err != nil {
		m.log.Error("reboot", "error", err)
	}
	_ = link.Sleep(ctx, rebootTime) // ends with ctx too
}

// install installs an artifact by hand.
func (p *program) install(ctx context.Context) (int, error) {
	if len(p.args) != 1 {
		return 0, fmt.Errorf("%w: moult-agent install FILE|URL", errUsage)
	}
	a, m, err := p.agent(ctx, patience)
	if err != nil {
		return 0, err
	}
	defer m.close()
	reboot, err := a.Install(ctx, p.args[0])
	if err != nil {
		return 0, err
	}
	name := a.record.Artifact
	if !reboot {
		fmt.Fprintf(p.stdout, "%s is installed. moult-agent commit keeps it, moult-agent rollback undoes it.\n", name)
		return exitOK, nil
	}
	fmt.Fprintf(p.stdout, "%s is installed. Reboot to start it; then moult-agent commit keeps it.\n", name)
	if p.rebootCode {
		return exitReboot, nil
	}
	return exitOK, nil
}

// commit keeps what was installed by hand.
func (p *program) commit(ctx context.Context) (int, error) {
	return p.decide(ctx, (*Agent).Commit, "The update is permanent.", "The self-test failed: reboot to go back.")
}

// rollback gives up what was installed by hand.
func (p *program) rollback(ctx context.Context) (int, error) {
	return p.decide(ctx, (*Agent).RollBack, "The update is undone.", "The update is given up: reboot to go back.")
}

func (p *program) decide(ctx context.Context, act func(*Agent, context.Context) error, done, reboot string) (int, error) {
	if err := p.none(); err != nil {
		return 0, err
	}
	a, m, err := p.agent(ctx, patience)
	if err != nil {
		return 0, err
	}
	defer m.close()
	err = act(a, ctx)
	if errors.Is(err, ErrReboot) {
		fmt.Fprintln(p.stdout, reboot)
		if p.rebootCode {
			return exitReboot, nil
		}
		return exitOK, nil
	}
	if err == nil {
		fmt.Fprintln(p.stdout, done)
	}
	return exitOK, err
}
