package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"

	"github.com/moult-ota/moult/internal/boot/register"
	"github.com/moult-ota/moult/internal/slot"
)

// hardware is what a machine's boot loader and image see during one life.
type hardware struct {
	slots    [2]*Disk
	register flash
}

func (m *Machine) openHardware(p *Power) (*hardware, error) {
	hw := &hardware{}
	for i, s := range []slot.Slot{slot.A, slot.B} {
		fi, err := os.Stat(m.slotPath(s))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open slot %v: %w", s, err), hw.close())
		}
		rng := rand.New(rand.NewPCG(m.seed, uint64(m.bootCount())<<8|uint64(s)))
		if hw.slots[i], err = OpenDisk(p, rng, m.slotPath(s), fi.Size()); err != nil {
			return nil, errors.Join(err, hw.close())
		}
	}
	d, err := register.File(m.path("register"))
	if err != nil {
		return nil, errors.Join(err, hw.close())
	}
	hw.register = flash{d, p}
	return hw, nil
}

func (hw *hardware) open(s slot.Slot) (slot.File, error) {
	if !s.Valid() {
		return nil, fmt.Errorf("open slot %v: no such slot", s)
	}
	return hw.slots[s-1], nil
}

func (hw *hardware) close() error {
	var errs []error
	for _, d := range hw.slots {
		if d != nil {
			errs = append(errs, d.detach())
		}
	}
	if hw.register.Disk != nil {
		errs = append(errs, hw.register.Close())
	}
	return errors.Join(errs...)
}
