// Package artifactcmd holds the commands `moult artifact` and `moult key`:
// writing, reading, checking and signing artifacts at a desk. Flags are named
// as those of mender-artifact, so that build scripts carry over.
//
// Errors that mean more than 1 have a method ExitCode: 2 for wrong usage, 8
// when a signature or a sum is wrong.
package artifactcmd

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/cli/usage"
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
	return usage.Strict(c)
}

// KeyCommand returns `moult key`.
func KeyCommand() *cobra.Command {
	c := &cobra.Command{Use: "key", Short: "Make keys that sign artifacts"}
	c.AddCommand(generateCommand())
	return usage.Strict(c)
}

// verdict gives an error of package artifact its exit code.
func verdict(err error) error {
	for _, class := range []error{artifact.ErrSignature, artifact.ErrChecksum, artifact.ErrUnsigned, artifact.ErrNoKey} {
		if errors.Is(err, class) {
			return usage.Coded(err, usage.ExitVerify)
		}
	}
	if errors.Is(err, artifact.ErrSpec) {
		return usage.Coded(err, usage.Exit)
	}
	return err
}

// one wants exactly one argument, called name in the error.
func one(name string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usage.Errorf("%s wants one %s, got %d arguments", c.CommandPath(), name, len(args))
		}
		return nil
	}
}

func none(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage.Errorf("%s takes no argument, got %q", c.CommandPath(), args[0])
	}
	return nil
}
