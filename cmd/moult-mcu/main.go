// Moult-mcu is a virtual microcontroller, to try a gateway without a board.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/moult-ota/moult/internal/virtualmcu/program"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := program.Main(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
