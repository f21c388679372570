package agent

import (
	"context"
	"io"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/boot/systemdboot"
	"github.com/moult-ota/moult/internal/slot"
)

// openSystemdBoot opens the entries on the file system that boot_env names.
func openSystemdBoot(c *Config) (boot.Env, io.Closer, error) {
	dir := c.BootEnv
	if dir == "" {
		var err error
		if dir, err = systemdboot.Find(); err != nil {
			return nil, nil, err
		}
	}
	running, err := (&machine{config: c}).whatRuns(context.Background())
	if err != nil { // in a factory nothing of it runs
		running = slot.None
	}
	env, err := systemdboot.Open(dir, running)
	return env, io.NopCloser(nil), err
}
