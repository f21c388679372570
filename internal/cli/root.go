// Package cli is the command moult: operators' verbs over the API's client,
// and `moult server`. Standard output is data; what is said to people goes to
// standard error. It decides nothing about fleets: the server does.
package cli

import (
	"context"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/moult-ota/moult/internal/version"
)

// A program is one run of moult: its streams, its environment, and the flags
// that every command takes.
type program struct {
	in       io.Reader
	out, err io.Writer
	lookup   func(string) (string, bool)

	server  string // --server
	context string // --context
	output  string // -o
	quiet   bool
}

// Main runs moult and returns its exit code. Commands that other packages
// bring stand beside its own.
func Main(args []string, in io.Reader, out, errs io.Writer, more ...*cobra.Command) int {
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer restore()
	context.AfterFunc(ctx, restore) // the second Ctrl-C ends the program at once
	p := &program{in: in, out: out, err: errs, lookup: os.LookupEnv}
	root := p.root()
	root.AddCommand(more...)
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	return report(errs, root.ExecuteContext(ctx))
}

func (p *program) root() *cobra.Command {
	c := group(&cobra.Command{
		Use:   "moult",
		Short: "Update firmware over the air",
		Long: "Moult updates firmware over the air.\n\nmoult server runs the server; every other command talks to one. " +
			"Which one is said by --server, MOULT_SERVER with MOULT_TOKEN, or `moult login`, in this order.\n\n" + exitHelp,
		Version:       version.String(),
		SilenceErrors: true, SilenceUsage: true,
	})
	c.SetVersionTemplate("{{.Version}}\n")
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage("%w; `%s --help` lists the flags", err, c.CommandPath())
	})
	f := c.PersistentFlags()
	f.StringVar(&p.server, "server", "", "server address (MOULT_SERVER)")
	f.StringVar(&p.context, "context", "", "use this context instead of the current one")
	f.BoolVarP(&p.quiet, "quiet", "q", false, "say nothing but data and errors")
	c.AddCommand(p.serverCommand(), p.deviceCommand(), p.enrolTokenCommand(), p.releaseCommand(), p.deployCommand(),
		p.tokenCommand(), p.loginCommand(), p.logoutCommand(), p.whoamiCommand(), p.contextCommand(), p.apiCommand(), p.versionCommand())
	return c
}

// group makes a command that only holds others: alone it is a mistake, and so
// is a name that it does not have.
func group(c *cobra.Command, below ...*cobra.Command) *cobra.Command {
	c.AddCommand(below...)
	c.Args = cobra.ArbitraryArgs
	c.SuggestionsMinimumDistance = 2
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			c.SetOut(c.ErrOrStderr())
			c.Help()
			return usage("say what to do")
		}
		if near := c.SuggestionsFor(args[0]); len(near) > 0 {
			return usage("unknown command %q for %q; did you mean %s?", args[0], c.CommandPath(), strings.Join(near, " or "))
		}
		return usage("unknown command %q; `%s --help` lists them", args[0], c.CommandPath())
	}
	return c
}

// takes wants exactly the arguments named.
func takes(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usage("%s is missing; usage: %s", names[len(args)], c.UseLine())
		case len(args) > len(names):
			return usage("%q is one too many; usage: %s", args[len(names)], c.UseLine())
		}
		return nil
	}
}

// takesSome wants one or more.
func takesSome(name string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usage("%s is missing; usage: %s", name, c.UseLine())
		}
		return nil
	}
}

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Print the version", Args: takes(), RunE: func(c *cobra.Command, _ []string) error {
		_, err := io.WriteString(p.out, version.String()+"\n")
		return err
	}}
}
