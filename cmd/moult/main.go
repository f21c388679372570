// Command moult runs the server and speaks to it.
package main

import (
	"os"

	"github.com/moult-ota/moult/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) // more commands go here
}
