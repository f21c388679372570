// Package program is moult-mcu: a virtual microcontroller as a program.
package program

import (
	"context"
	"fmt"
	"io"

	"github.com/moult-ota/moult/internal/version"
)

const usage = `moult-mcu is a virtual microcontroller with MCUboot, to try a gateway without a board.

  moult-mcu --key PUBLIC.pem --image FIRST.bin [--flash FILE] DOOR…   run until interrupted
  moult-mcu image --key PRIVATE.pem --version 1.2.3 --out FILE [HABIT…]   make a firmware for it
  moult-mcu --version

Doors: --serial, --serial-link PATH, --udp ADDRESS. SIGHUP presses the reset button.
Options:
`

// Exit codes.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 64
)

// Main runs the program until ctx ends, and returns its exit code.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var err error
	switch {
	case len(args) > 0 && args[0] == "--version":
		fmt.Fprintln(stdout, version.String())
		return exitOK
	case len(args) > 0 && args[0] == "image":
		err = makeImage(args[1:], stdout)
	case len(args) == 0:
		err = parse(new(options).flags(), []string{"--help"})
	default:
		err = run(ctx, args, stdout)
	}
	if bad, ok := err.(usageError); ok {
		fmt.Fprint(stderr, usage, bad.options)
		if bad.error != nil {
			fmt.Fprintf(stderr, "\nmoult-mcu: %v\n", bad.error)
		}
		return exitUsage
	}
	if err != nil {
		fmt.Fprintf(stderr, "moult-mcu: %v\n", err)
		return exitError
	}
	return exitOK
}

// A usageError is a command line that makes no sense; nil is one that asks for
// help.
type usageError struct {
	error
	options string
}
