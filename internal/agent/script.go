package agent

import (
	"errors"
	"io"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/boot/script"
	"github.com/moult-ota/moult/internal/boot/variables"
)

// openScript uses the program that boot_env names.
func openScript(c *Config) (boot.Env, io.Closer, error) {
	parts, err := c.parts()
	if err == nil && c.BootEnv == "" {
		err = errors.New("boot is script: set boot_env to the program that keeps the variables")
	}
	if err != nil {
		return nil, nil, err
	}
	env, err := variables.Open(script.Store{Program: c.BootEnv}, parts)
	return env, io.NopCloser(nil), err
}
