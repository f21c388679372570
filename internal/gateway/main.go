package gateway

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/moult-ota/moult/internal/agent"
	"github.com/moult-ota/moult/internal/version"
)

// Exit codes, as moult-agent's.
const (
	exitOK      = 0
	exitError   = 1
	exitNothing = 2  // commit, rollback: no update is in progress
	exitRefused = 8  // the artifact must not be installed on that child
	exitBusy    = 75 // another update is under way
	exitUsage   = 64
)

const usage = `moult-gateway keeps devices up to date that cannot reach a server themselves.

  moult-gateway run                      serve the children, and the LAN
  moult-gateway show [--json]            the children, what they run, and what is under way
  moult-gateway find [HOST:PORT…]        what could be a child: USB devices with DFU, serial ports,
                                         and addresses that answer SMP over UDP
  moult-gateway check                    look for mistakes in the configuration
  moult-gateway config                   print the settings in effect
  moult-gateway install CHILD FILE|URL   install an artifact by hand
  moult-gateway commit CHILD             keep what was installed by hand
  moult-gateway rollback CHILD           go back to what was there before
  moult-gateway version

Settings come from ` + DefaultConfig + ` (or --config FILE), then from variables
such as MOULT_GATEWAY_STATE_DIR, then from flags such as --state-dir. Children
are in the file. moult-gateway help lists them all.

Exit codes: 0 done, 1 error, 2 no update in progress, 8 artifact refused,
64 wrong usage, 75 busy.
`

// errUsage is an error of the caller of the program.
var errUsage = errors.New("wrong usage")

// A program is one run of moult-gateway.
type program struct {
	stdout, stderr io.Writer
	config         *Config
	path           string // of the configuration
	args           []string
	json           bool
	root           string // where find looks around; empty: at /
}

// Main runs the program and returns its exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	p := &program{stdout: stdout, stderr: stderr}
	if err := p.command(ctx, args); err != nil {
		fmt.Fprintf(stderr, "moult-gateway: %v\n", err)
		return exitCode(err)
	}
	return exitOK
}

func exitCode(err error) int {
	switch {
	case errors.Is(err, errUsage):
		return exitUsage
	case errors.Is(err, agent.ErrRefused):
		return exitRefused
	case errors.Is(err, agent.ErrNothing):
		return exitNothing
	case errors.Is(err, agent.ErrBusy):
		return exitBusy
	}
	return exitError
}

func (p *program) command(ctx context.Context, args []string) error {
	if len(args) == 0 {
		fmt.Fprint(p.stderr, usage)
		return errUsage
	}
	commands := map[string]struct {
		do        func(context.Context) error
		min, most int // arguments
	}{
		"run": {p.run, 0, 0}, "show": {p.show, 0, 0}, "find": {p.find, 0, 64}, "check": {p.check, 0, 0}, "config": {p.printConfig, 0, 0},
		"install": {p.install, 2, 2}, "commit": {p.commit, 1, 1}, "rollback": {p.rollBack, 1, 1},
	}
	switch args[0] {
	case "version", "--version":
		fmt.Fprintln(p.stdout, version.String())
		return nil
	case "help", "--help", "-help", "-h":
		p.help()
		return nil
	}
	c, ok := commands[args[0]]
	if !ok {
		return fmt.Errorf("%w: no command %q; moult-gateway help lists them", errUsage, args[0])
	}
	if err := p.parse(args[1:]); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if len(p.args) < c.min || len(p.args) > c.most {
		return fmt.Errorf("%w: %s takes other arguments; moult-gateway help says which", errUsage, args[0])
	}
	return c.do(ctx)
}

func (p *program) help() {
	c, k := newConfig(), newChild()
	for _, f := range []*flag.FlagSet{c.settings, k.settings} {
		f.SetOutput(p.stdout)
	}
	fmt.Fprint(p.stdout, usage, "\nSettings:\n")
	c.settings.PrintDefaults()
	fmt.Fprint(p.stdout, "\nSettings of a child, in the list children of the file, with underscores:\n")
	k.settings.PrintDefaults()
}

// parse reads the configuration; flags may stand before and after arguments.
func (p *program) parse(args []string) (err error) {
	p.path = DefaultConfig
	if path := os.Getenv(envPrefix + "CONFIG"); path != "" {
		p.path = path
	}
	if path := configFlag(args); path != "" {
		p.path = path
	}
	if p.config, err = ReadConfig(p.path, p.path != DefaultConfig, os.Environ()); err != nil {
		return err
	}
	all := flag.NewFlagSet("moult-gateway", flag.ContinueOnError)
	all.SetOutput(io.Discard)
	p.config.settings.VisitAll(func(s *flag.Flag) { all.Var(s.Value, s.Name, s.Usage) })
	all.BoolVar(&p.json, "json", false, "print JSON")
	all.String("config", DefaultConfig, "configuration `file`") // configFlag has read it
	for len(args) > 0 {
		if err := all.Parse(args); err != nil {
			return err
		}
		if args = all.Args(); len(args) > 0 {
			p.args, args = append(p.args, args[0]), args[1:]
		}
	}
	return nil
}

// configFlag finds --config before the other flags are known.
func configFlag(args []string) string {
	f := flag.NewFlagSet("", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	path := f.String("config", "", "")
	for ; len(args) > 0; args = args[1:] {
		if f.Parse(args) == nil && *path != "" {
			return *path
		}
	}
	return ""
}

func (p *program) gateway() (*Gateway, error) {
	return New(p.config, slog.New(slog.NewTextHandler(p.stderr, nil)))
}

// run serves until it is told to stop. SIGUSR1 polls at once; SIGHUP ends it
// when no update is under way.
func (p *program) run(ctx context.Context) error {
	g, err := p.gateway()
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	wake := make(chan os.Signal, 2)
	signal.Notify(wake, syscall.SIGUSR1, syscall.SIGHUP)
	defer signal.Stop(wake)
	go func() {
		for {
			select {
			case s := <-wake:
				if s == syscall.SIGHUP {
					g.Leave()
				} else {
					g.Poll()
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	if err := g.Run(ctx); ctx.Err() == nil {
		return err
	}
	return nil
}

func (p *program) check(context.Context) error {
	if err := p.config.Check(); err != nil {
		return err
	}
	_, err := agent.Verifiers(p.config.VerifyKeys)
	if len(p.config.VerifyKeys) == 0 {
		err = errors.New("no key to verify artifacts with: nothing will be installed; set verify_keys")
	}
	for _, k := range p.config.Children {
		if _, bad := k.imageKeys(); bad != nil {
			err = errors.Join(err, fmt.Errorf("child %s: %w", k.ID, bad))
		}
		for _, program := range []string{k.Program, k.VersionCommand, k.ResetCommand, k.ConfirmCommand, k.SelfTest} {
			fi, bad := os.Stat(program)
			if program != "" && (bad != nil || fi.Mode()&0o111 == 0) {
				err = errors.Join(err, fmt.Errorf("child %s: %s is no program", k.ID, program))
			}
		}
	}
	if err == nil {
		fmt.Fprintf(p.stdout, "%s: nothing wrong with it; %d children\n", p.path, len(p.config.Children))
	}
	return err
}

func (p *program) printConfig(context.Context) error {
	_, err := p.stdout.Write(p.config.JSON())
	return err
}

// patience is how long a command waits for a gateway that is at work.
const patience = 5 * time.Second
