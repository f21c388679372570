package sbl

import (
	"fmt"
	"io"
	"os"

	"github.com/moult-ota/moult/internal/version"
)

const usage = `moult-sbl starts the right slot of this device. It is the init of a boot kernel.

  moult-sbl [OPTION…]                   as process 1: decide, and start a slot
  moult-sbl --dry-run [OPTION…] DISK    print the decision for a disk or its image, and why
  moult-sbl --version

Options come from ` + DefaultConfig + `, lines of "name value", then from flags.
`

// Exit codes.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 64
)

// Main runs the program and returns its exit code. As process 1 it does not
// return.
func Main(args []string, stdout, stderr io.Writer) int {
	switch {
	case os.Getpid() == 1:
		run(args)
	case len(args) > 0 && args[0] == "--version":
		fmt.Fprintln(stdout, version.String())
		return exitOK
	case len(args) > 0 && args[0] == "--dry-run":
		return dry(args[1:], stdout, stderr)
	}
	fmt.Fprint(stderr, usage, "\nOptions:\n")
	f := new(Options).flags()
	f.SetOutput(stderr)
	f.PrintDefaults()
	return exitUsage
}

func dry(args []string, stdout, stderr io.Writer) int {
	o, rest, err := load(DefaultConfig, false, args)
	if err != nil || len(rest) != 1 {
		fmt.Fprint(stderr, usage)
		if err != nil {
			fmt.Fprintf(stderr, "\nmoult-sbl: %v\n", err)
		}
		return exitUsage
	}
	o.Disk = rest[0]
	if err := dryRun(o, stdout); err != nil {
		fmt.Fprintf(stderr, "moult-sbl: %v\n", err)
		return exitError
	}
	return exitOK
}
