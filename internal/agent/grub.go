package agent

import (
	"io"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/boot/grub"
	"github.com/moult-ota/moult/internal/boot/variables"
)

// openGRUB opens the environment in the folder that boot_env names.
func openGRUB(c *Config) (boot.Env, io.Closer, error) {
	parts, err := c.parts()
	if err != nil {
		return nil, nil, err
	}
	dir := c.BootEnv
	if dir == "" {
		if dir, err = grub.Find(); err != nil {
			return nil, nil, err
		}
	}
	s, err := grub.Open(dir)
	if err != nil {
		return nil, nil, err
	}
	env, err := variables.Open(s, parts)
	if err != nil {
		s.Close()
		return nil, nil, err
	}
	return env, s, nil
}

// createGRUB makes an environment only where it was told: the other folders
// may lie in a slot.
func createGRUB(c *Config) error {
	if c.BootEnv == "" {
		return nil
	}
	return grub.Create(c.BootEnv)
}
