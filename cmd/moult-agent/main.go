// Moult-agent keeps a Linux device up to date.
package main

import (
	"os"
	"runtime/debug"

	"github.com/moult-ota/moult/internal/agent"
)

// memory is what the program may take before it collects garbage at every
// chance. A whole update needs less; the limit is for what a server may make
// it do.
const memory = 24 << 20

func main() {
	debug.SetMemoryLimit(memory)
	debug.SetGCPercent(25) // a device has little memory, and nothing to do but this
	os.Exit(agent.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
