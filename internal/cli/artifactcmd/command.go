// Package artifactcmd holds the commands `moult artifact` and `moult key`:
// writing, reading, checking and signing artifacts at a desk. Flags are named
// as those of mender-artifact, so that build scripts carry over.
//
// Errors that mean more than 1 have a method ExitCode: 2 for wrong usage, 8
// when a signature or a sum is wrong.
package artifactcmd

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/moult-ota/moult/artifact"
)

// Command returns `moult artifact`.
func Command() *cobra.Command {
	c := &cobra.Command{
		Use:   "artifact",
		Short: "Write, read, check and sign artifacts (.mender files)",
		Long: "Write, read, check and sign artifacts: .mender files, as mender-artifact writes and mender-client reads them.\n" +
			"Flags have the names that they have there.",
	}
	write := &cobra.Command{Use: "write", Short: "Write an artifact"}
	write.AddCommand(writeRootfs(), writeModule(), writeMCUboot(), writeBootstrap())
	c.AddCommand(write, readCommand(), validateCommand(), signCommand(), dumpCommand())
	return strict(c)
}

// KeyCommand returns `moult key`.
func KeyCommand() *cobra.Command {
	c := &cobra.Command{Use: "key", Short: "Make keys that sign artifacts"}
	c.AddCommand(generateCommand())
	return strict(c)
}

// strict makes wrong flags and unknown subcommands usage errors.
func strict(c *cobra.Command) *cobra.Command {
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage("%w", err) })
	for _, sub := range c.Commands() {
		strict(sub)
	}
	if c.HasSubCommands() {
		c.Args = cobra.ArbitraryArgs
		c.RunE = func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("unknown command %q for %s", args[0], c.CommandPath())
			}
			return c.Help()
		}
	}
	return c
}

const (
	exitUsage  = 2
	exitVerify = 8
)

// A coded error knows the exit code of the program.
type coded struct {
	error
	code int
}

func (c coded) Unwrap() error { return c.error }

// ExitCode is the code that the program ends with.
func (c coded) ExitCode() int { return c.code }

func usage(format string, args ...any) error { return coded{fmt.Errorf(format, args...), exitUsage} }

// verdict gives an error of package artifact its exit code.
func verdict(err error) error {
	for _, class := range []error{artifact.ErrSignature, artifact.ErrChecksum, artifact.ErrUnsigned, artifact.ErrNoKey} {
		if errors.Is(err, class) {
			return coded{err, exitVerify}
		}
	}
	if errors.Is(err, artifact.ErrSpec) {
		return coded{err, exitUsage}
	}
	return err
}

// one wants exactly one argument, called name in the error.
func one(name string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usage("%s wants one %s, got %d arguments", c.CommandPath(), name, len(args))
		}
		return nil
	}
}

func none(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage("%s takes no argument, got %q", c.CommandPath(), args[0])
	}
	return nil
}
