package agent

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/moult-ota/moult/internal/snapshot"
	"github.com/moult-ota/moult/internal/version"
)

// Exit codes. Those of 0, 1, 2 and 4 are Mender's, too.
const (
	exitOK      = 0
	exitError   = 1  // it did not work; standard error says why
	exitNothing = 2  // commit, rollback: no update is in progress
	exitReboot  = 4  // it worked, and a reboot is needed; only with --reboot-exit-code
	exitRefused = 8  // the artifact must not be installed here: signature, type, dependency, floor
	exitBusy    = 75 // another update is under way; try later
	exitUsage   = 64 // unknown command, flag or setting
)

const usage = `moult-agent keeps this device up to date.

  moult-agent daemon                   ask the server for updates, and install them
  moult-agent install FILE|URL         install an artifact by hand
  moult-agent commit                   keep what was installed by hand
  moult-agent rollback                 go back to what was there before
  moult-agent show [--json]            what is installed, and what is under way
  moult-agent setup [SETTING…]         write the configuration; asks when on a terminal
  moult-agent provision FILE           put the first image into a blank device: slot A
  moult-agent snapshot [--source PATH] stream the running root file system as an image
  moult-agent request-certificate      print a certificate request (PEM) for the device's key
  moult-agent config                   print the settings in effect
  moult-agent version

Settings come from ` + DefaultConfig + ` (or --config FILE), then from variables
such as MOULT_AGENT_STATE_DIR, then from flags such as --state-dir.
moult-agent help lists them.

Exit codes: 0 done, 1 error, 2 no update in progress, 4 reboot needed (with
--reboot-exit-code), 8 artifact refused, 64 wrong usage, 75 busy.
`

// errUsage is an error of the caller of the program.
var errUsage = errors.New("wrong usage")

// A program is one run of moult-agent.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	config         *Config
	args           []string // after flags
	root           string   // where setup looks around; empty: at /

	json       bool
	rebootCode bool
	copy       copyFlags
}

// Main runs the program and returns its exit code.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	p := &program{stdin: stdin, stdout: stdout, stderr: stderr}
	code, err := p.command(ctx, args)
	if err != nil {
		fmt.Fprintf(stderr, "moult-agent: %v\n", err)
		return exitCode(err)
	}
	return code
}

func exitCode(err error) int {
	switch {
	case errors.Is(err, errUsage):
		return exitUsage
	case errors.Is(err, ErrRefused):
		return exitRefused
	case errors.Is(err, ErrNothing):
		return exitNothing
	case errors.Is(err, ErrBusy):
		return exitBusy
	}
	return exitError
}

func (p *program) command(ctx context.Context, args []string) (int, error) {
	if len(args) == 0 {
		fmt.Fprint(p.stderr, usage)
		return exitUsage, nil
	}
	commands := map[string]func(context.Context) (int, error){
		"daemon": p.daemon, "install": p.install, "commit": p.commit, "rollback": p.rollback,
		"show": p.show, "setup": p.setup, "provision": p.provision, "config": p.printConfig,
		"snapshot": p.snapshot, "request-certificate": p.requestCertificate,
	}
	switch args[0] {
	case "version", "--version":
		fmt.Fprintln(p.stdout, version.String())
		return exitOK, nil
	case snapshot.GuardCommand:
		if len(args) != 2 {
			return 0, fmt.Errorf("%w: %s is not for people", errUsage, args[0])
		}
		return exitOK, snapshot.Guard(args[1], p.stdin, p.stdout)
	}
	if slices.ContainsFunc(args, isHelp) {
		fmt.Fprint(p.stdout, usage, "\nSettings:\n")
		c := newConfig()
		c.settings.SetOutput(p.stdout)
		c.settings.PrintDefaults()
		return exitOK, nil
	}
	do, ok := commands[args[0]]
	if !ok {
		return 0, fmt.Errorf("%w: no command %q; moult-agent help lists them", errUsage, args[0])
	}
	if err := p.parse(args[1:], args[0] == "setup" || args[0] == "provision"); err != nil {
		return 0, err
	}
	return do(ctx)
}

func isHelp(arg string) bool {
	switch arg {
	case "help", "--help", "-help", "-h":
		return true
	}
	return false
}

// parse reads the configuration; flags may stand before and after arguments.
func (p *program) parse(args []string, make bool) (err error) {
	if p.config, err = loadConfig(configFlag(args), os.Environ(), make); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	f := p.config.settings
	f.SetOutput(io.Discard)
	all := flag.NewFlagSet("moult-agent", flag.ContinueOnError)
	all.SetOutput(io.Discard)
	f.VisitAll(func(s *flag.Flag) { all.Var(s.Value, s.Name, s.Usage) })
	all.BoolVar(&p.json, "json", false, "print JSON")
	all.BoolVar(&p.rebootCode, "reboot-exit-code", false, "exit with 4 when a reboot is needed")
	p.copy.flags(all)
	all.String("config", DefaultConfig, "configuration `file`") // configFlag has read it
	for len(args) > 0 {
		if err := all.Parse(args); err != nil {
			return fmt.Errorf("%w: %w", errUsage, err)
		}
		if args = all.Args(); len(args) > 0 {
			p.args, args = append(p.args, args[0]), args[1:]
		}
	}
	return nil
}

// configFlag finds --config before the other flags are known.
func configFlag(args []string) string {
	for i, a := range args {
		for _, name := range []string{"-config", "--config"} {
			if a == name && i+1 < len(args) {
				return args[i+1]
			}
			if len(a) > len(name) && a[:len(name)+1] == name+"=" {
				return a[len(name)+1:]
			}
		}
	}
	return ""
}

// agent assembles the agent. patient is how long it waits for another
// moult-agent; 0 means for ever.
func (p *program) agent(ctx context.Context, patient time.Duration) (*Agent, *machine, error) {
	m, err := openMachine(ctx, p.config, slog.New(slog.NewTextHandler(p.stderr, nil)))
	if err != nil {
		return nil, nil, err
	}
	o, err := m.options(ctx, patient)
	if err == nil {
		var a *Agent
		if a, err = New(o); err == nil {
			return a, m, nil
		}
	}
	m.close()
	return nil, nil, err
}

// none refuses arguments where there are none.
func (p *program) none() error {
	if len(p.args) > 0 {
		return fmt.Errorf("%w: what is %q?", errUsage, p.args[0])
	}
	return nil
}

func (p *program) printConfig(context.Context) (int, error) {
	_, err := p.stdout.Write(p.config.JSON(true))
	return exitOK, err
}
