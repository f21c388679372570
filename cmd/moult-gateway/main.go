// Moult-gateway keeps devices up to date that cannot reach a server
// themselves: microcontrollers behind it, and the devices of its LAN.
package main

import (
	"os"

	"github.com/moult-ota/moult/internal/gateway"
)

func main() { os.Exit(gateway.Main(os.Args[1:], os.Stdout, os.Stderr)) }
