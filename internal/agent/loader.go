package agent

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/boot/register"
	"github.com/moult-ota/moult/internal/boot/variables"
	"github.com/moult-ota/moult/internal/slot"
)

// A loader is a kind of boot loader, by what it shares with the agent.
type loader struct {
	open func(*Config) (boot.Env, io.Closer, error)
	// checks says that it starts no image that differs from its descriptor.
	// The image that runs on any other was perhaps never described, and may
	// have changed since.
	checks bool
	// create makes what open needs, where nothing is there yet.
	create func(*Config) error
}

// loaders are what the setting boot may name.
var loaders = map[string]loader{
	"register":     {open: openRegister, checks: true, create: createRegister},
	"uboot":        {open: openUBoot},
	"grub":         {open: openGRUB, create: createGRUB},
	"script":       {open: openScript},
	"systemd-boot": {open: openSystemdBoot},
}

// loader returns the kind that is set.
func (c *Config) loader() (loader, error) {
	l, ok := loaders[c.Boot]
	if !ok {
		return l, fmt.Errorf("boot: no such kind of boot loader: %q; want one of %s", c.Boot, strings.Join(slices.Sorted(maps.Keys(loaders)), ", "))
	}
	return l, nil
}

// slot opens a slot. What describes its image stands at its end, where a loader
// that checks looks for it; for others, in the state folder, so that an image
// may fill the slot.
func (l loader) slot(c *Config, s slot.Slot) (slot.File, error) {
	if l.checks {
		return slot.OpenFile(c.slotPath(s))
	}
	return slot.Apart(c.slotPath(s), filepath.Join(c.StateDir, "slot-"+s.String()+".descriptor"))
}

func (c *Config) slotPath(s slot.Slot) string {
	if s == slot.A {
		return c.SlotA
	}
	return c.SlotB
}

// hasSlots reports whether there is anything to boot from, and wants all of
// it or none.
func (c *Config) hasSlots() (bool, error) {
	env, name := c.Register, "register"
	if c.Boot != "register" {
		env, name = c.Boot, "boot"
	}
	switch {
	case c.SlotA == "" && c.SlotB == "" && c.Register == "" && c.Boot == "register":
		return false, nil
	case c.SlotA == "" || c.SlotB == "" || env == "":
		return false, fmt.Errorf("slot_a, slot_b and %s come together; moult-agent setup writes them", name)
	}
	return true, nil
}

func openRegister(c *Config) (boot.Env, io.Closer, error) {
	d, err := register.File(c.Register)
	if err != nil {
		return nil, nil, err
	}
	r, err := register.Open(d)
	if err != nil {
		d.Close()
		return nil, nil, fmt.Errorf("open boot register: %w", err)
	}
	return r, d, nil
}

func createRegister(c *Config) error {
	d, err := openOrCreate(c.Register)
	if err != nil {
		return err
	}
	return d.Close()
}

// parts are the partition numbers of the slots: what boot_parts says, else
// the numbers that the names of the partitions end with.
func (c *Config) parts() (p variables.Parts, err error) {
	if len(c.BootParts) != 0 {
		if len(c.BootParts) != len(p) {
			return p, errors.New("boot_parts: want the numbers of two partitions, slot A's and slot B's")
		}
		return variables.Parts(c.BootParts), nil
	}
	for i, path := range []string{c.SlotA, c.SlotB} {
		p[i] = path[len(strings.TrimRight(path, "0123456789")):]
		if p[i] == "" {
			return p, fmt.Errorf("%s does not end with the number of a partition; set boot_parts", path)
		}
	}
	return p, nil
}
