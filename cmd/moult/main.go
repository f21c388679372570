// Command moult is the server, the operator's command line, the builder's
// desk and the demo.
package main

import (
	"os"

	"github.com/moult-ota/moult/internal/cli"
	"github.com/moult-ota/moult/internal/cli/artifactcmd"
	"github.com/moult-ota/moult/internal/cli/mcubootcmd"
	"github.com/moult-ota/moult/internal/sim"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr,
		artifactcmd.Command(), artifactcmd.KeyCommand(), mcubootcmd.Command(), sim.Command()))
}
