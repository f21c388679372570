package agent

import (
	"cmp"
	"fmt"
	"io"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/boot/uboot"
	"github.com/moult-ota/moult/internal/boot/variables"
)

// A frail Env works, but a power cut can cost it.
type frail struct {
	boot.Env
	why string // and what to do
}

const oneCopy = "U-Boot's environment has a single copy: a power cut while it is written can lose it, and with it which slot is current; build U-Boot with CONFIG_SYS_REDUNDAND_ENVIRONMENT and name both places in fw_env.config"

// openUBoot opens what fw_env.config names.
func openUBoot(c *Config) (boot.Env, io.Closer, error) {
	parts, err := c.parts()
	if err != nil {
		return nil, nil, err
	}
	path := cmp.Or(c.BootEnv, uboot.DefaultConfig)
	s, err := uboot.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("%w; boot_env names the fw_env.config of this device", err)
	}
	env, err := variables.Open(s, parts)
	if err == nil && !s.Redundant {
		return frail{env, oneCopy}, io.NopCloser(nil), nil
	}
	return env, io.NopCloser(nil), err
}
