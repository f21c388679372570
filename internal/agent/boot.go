package agent

import (
	"fmt"
	"time"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/install"
	"github.com/moult-ota/moult/internal/install/module"
	"github.com/moult-ota/moult/internal/install/rootfs"
	"github.com/moult-ota/moult/internal/update"
)

// booted says what runs, and what the boot register holds.
func (a *Agent) booted() (update.Booted, error) {
	b := update.Booted{Running: a.o.Running, ID: a.o.BootID, Provides: a.o.Provides}
	if b.Provides == nil {
		b.Provides = update.Provides{}
	}
	v, err := a.vars()
	if err != nil {
		return b, err
	}
	b.Trial = v.Trial
	b.At = a.o.Now().Add(time.Duration(a.o.Rand.Int64N(int64(min(a.o.Poll/20, maxSettle)) + 1)))
	if other := a.o.Running.Other(); v.Slot(other).State == boot.Failed {
		b.Failed, b.Why = other, v.Slot(other).Reason.String()
	}
	a.log.Info("started", "slot", b.Running, "trial", b.Trial, "phase", a.record.Phase)
	return b, nil
}

// maxSettle spreads the first polls of a fleet that came up at once.
const maxSettle = 30 * time.Second

// vars reads the boot register; a device without slots has a zero one.
func (a *Agent) vars() (boot.Vars, error) {
	if a.o.Boot == nil {
		return boot.Vars{}, nil
	}
	v, err := a.o.Boot.Load()
	if err != nil {
		return boot.Vars{}, fmt.Errorf("read boot register: %w", err)
	}
	return v, nil
}

// payloadType is what the slots take.
const payloadType = "rootfs-image"

func (a *Agent) installers() {
	if a.o.Boot != nil {
		a.slots = &rootfs.Installer{
			Env: a.o.Boot, Open: a.o.Open, Running: a.o.Running, DeviceType: a.o.DeviceType, Tries: a.o.Tries, Ahead: a.o.Ahead,
		}
	}
}

// installer returns what installs payloads of a kind; the error names the kind
// when nothing does.
func (a *Agent) installer(kind string) (install.Installer, error) {
	maker, other := a.o.Installers[kind]
	switch {
	case other:
		return maker(a.log.note), nil
	case kind == payloadType && a.slots != nil:
		return a.slots, nil
	case kind == "":
		return nothing{}, nil
	case a.o.Modules == "":
		return nil, fmt.Errorf("no installer for payloads of type %q here", kind)
	}
	return module.New(module.Options{
		Folder: a.o.Modules, Work: a.o.ModuleWork, Kind: kind, Log: a.log.note,
		Provides: a.record.Provides(), DeviceType: a.o.DeviceType,
	})
}

// written is what the record remembers of the payload.
func (a *Agent) written() install.Written {
	return install.Written{Target: a.record.Target, Image: a.record.Image, Security: a.record.Floor, Child: a.record.Child}
}
