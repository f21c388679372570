// Moult-sbl starts the right slot of a Linux device.
package main

import (
	"os"

	"github.com/moult-ota/moult/internal/sbl"
)

func main() { os.Exit(sbl.Main(os.Args[1:], os.Stdout, os.Stderr)) }
