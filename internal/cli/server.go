package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/moult-ota/moult/internal/server"
)

// serverFlags are the server's options as flags, and the file below them.
type serverFlags struct {
	file  string
	flags server.Options
}

func (p *program) serverCommand() *cobra.Command {
	sf := &serverFlags{flags: server.Defaults()}
	run := &cobra.Command{
		Use: "server", Short: "Run the server", Args: takes(),
		Long: "Run the server: SQLite and artifacts in a data directory, every API on one port. The first start prints a token for the first operator.\n\n" +
			"Options come from a YAML file (--config), then from MOULT_ variables (--tls-cert is MOULT_TLS_CERT), then from flags; the later wins.",
		RunE: func(c *cobra.Command, _ []string) error {
			o, err := sf.load(c.Flags(), p.lookup)
			if err != nil {
				return err
			}
			return server.Run(c.Context(), o, p.out, p.err)
		},
	}
	sf.register(run.PersistentFlags())
	run.AddCommand(
		p.serverSub(sf, "config", "Print the effective options as a file", func(c *cobra.Command, o server.Options) error {
			_, err := io.WriteString(p.out, o.YAML())
			return err
		}),
		p.serverSub(sf, "doctor", "Check what a server needs: port, disk, database, certificate", func(c *cobra.Command, o server.Options) error {
			return server.Doctor(c.Context(), o, p.out)
		}),
		p.serverSub(sf, "reset-operator", "Make a new operator token when all are lost; the server must be stopped", func(c *cobra.Command, o server.Options) error {
			secret, err := server.ResetOperator(c.Context(), o)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(p.out, secret)
			return err
		}),
		p.serverSub(sf, "session-keys", "Print the public keys that devices are given, to know this server behind any broker", func(c *cobra.Command, o server.Options) error {
			return p.printLines(server.SessionKeys(o))
		}),
		p.serverSub(sf, "rotate-session-keys", "Make new session keys; the ones before stay good until the next time; the server must be stopped", func(c *cobra.Command, o server.Options) error {
			return p.printLines(server.RotateSessionKeys(o))
		}),
		p.brokerCommand(),
	)
	return run
}

func (p *program) serverSub(sf *serverFlags, name, short string, run func(*cobra.Command, server.Options) error) *cobra.Command {
	return &cobra.Command{Use: name, Short: short, Args: takes(), RunE: func(c *cobra.Command, _ []string) error {
		o, err := sf.load(c.Flags(), p.lookup)
		if err != nil {
			return err
		}
		return run(c, o)
	}}
}

func (sf *serverFlags) register(f *pflag.FlagSet) {
	f.StringVar(&sf.file, "config", "", "YAML file with options (MOULT_CONFIG)")
	for _, field := range sf.flags.Fields() {
		switch v := field.Value.(type) {
		case *string:
			f.StringVar(v, field.Name, *v, field.Doc)
		case *bool:
			f.BoolVar(v, field.Name, *v, field.Doc)
		case *[]string:
			f.StringArrayVar(v, field.Name, *v, field.Doc)
		}
	}
}

// load lays file, environment and flags over the defaults.
func (sf *serverFlags) load(f *pflag.FlagSet, lookup func(string) (string, bool)) (server.Options, error) {
	o := server.Defaults()
	file := sf.file
	if file == "" {
		file, _ = lookup("MOULT_CONFIG")
	}
	if file != "" {
		if err := o.LoadFile(file); err != nil {
			return o, coded{err, exitUsage}
		}
	}
	if err := o.LoadEnv(lookup); err != nil {
		return o, coded{err, exitUsage}
	}
	said := sf.flags.Fields()
	for i, field := range o.Fields() {
		if f.Changed(field.Name) {
			field.Take(said[i])
		}
	}
	if err := o.Check(); err != nil {
		return o, coded{err, exitUsage}
	}
	return o, nil
}
