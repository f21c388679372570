package sim

import (
	"fmt"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/boot/register"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/slot"
)

// look notes what an onlooker sees when an image starts.
func (m *Machine) look(hw *hardware, running slot.Slot) {
	var versions [2]string
	for i, d := range hw.slots {
		if _, err := slot.ReadDescriptor(d); err != nil {
			continue
		}
		if image, err := ReadImage(d); err == nil {
			versions[i] = image.Version
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.slots, m.runs = versions, running
}

// Row shows the machine with the state that the server knows.
func (m *Machine) Row(s deployment.State) Row {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := Row{Name: m.Name, Slots: m.slots, Running: int(m.runs) - 1, State: s, Cut: m.power == nil && m.runs == slot.None && m.pulled}
	if m.sight.Total > 0 && s == deployment.Downloading {
		r.Part = float64(m.sight.Bytes) / float64(m.sight.Total)
	}
	if s == deployment.Installing || s == deployment.Rebooting || s == deployment.Trying || s == deployment.Done {
		r.Part = 1
	}
	return r
}

// A Truth is what is really on a machine's disks, whatever anybody reported.
type Truth struct {
	Running string // version that the boot loader would start
	Trial   bool   // something is still on trial
	Floor   uint32
}

// Inspect opens the disks of a machine that is off, as a boot loader would.
func (m *Machine) Inspect() (Truth, error) {
	disk, err := register.File(m.path("register"))
	if err != nil {
		return Truth{}, err
	}
	defer disk.Close()
	reg, err := register.Open(disk)
	if err != nil {
		return Truth{}, err
	}
	v, err := reg.Load()
	if err != nil {
		return Truth{}, err
	}
	check := boot.CheckSlots(func(s slot.Slot) (slot.File, error) { return slot.OpenFile(m.slotPath(s)) }, nil)
	d := boot.Decide(v, check)
	if d.Action != boot.Run {
		return Truth{}, fmt.Errorf("%s does not boot: %s", m.Name, d.Why)
	}
	f, err := slot.OpenFile(m.slotPath(d.Slot))
	if err != nil {
		return Truth{}, err
	}
	defer f.Close()
	image, err := ReadImage(f)
	return Truth{Running: image.Version, Trial: v.Trial != slot.None, Floor: v.Floor}, err
}
