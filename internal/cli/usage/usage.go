// Package usage is what the commands of a builder's desk share: how they treat
// wrong usage, and with which code the program ends.
package usage

import (
	"fmt"

	"github.com/spf13/cobra"
)

// Exit codes besides 1.
const (
	Exit       = 2
	ExitVerify = 8 // a signature or a sum is wrong
)

// A coded error knows the exit code of the program.
type coded struct {
	error
	code int
}

func (c coded) Unwrap() error { return c.error }

// ExitCode is the code that the program ends with.
func (c coded) ExitCode() int { return c.code }

// Coded gives an error an exit code.
func Coded(err error, code int) error { return coded{err, code} }

// Errorf is a mistake of the caller.
func Errorf(format string, args ...any) error { return coded{fmt.Errorf(format, args...), Exit} }

// Strict makes wrong flags and unknown subcommands usage errors.
func Strict(c *cobra.Command) *cobra.Command {
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return Errorf("%w", err) })
	for _, sub := range c.Commands() {
		Strict(sub)
	}
	if c.HasSubCommands() {
		c.Args = cobra.ArbitraryArgs
		c.RunE = func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return Errorf("unknown command %q for %s", args[0], c.CommandPath())
			}
			return c.Help()
		}
	}
	return c
}
