package boottest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/slot"
)

// A Storage is flash or a disk.
type Storage interface {
	// Clone returns the same storage with the same contents, on power p.
	Clone(p *Power) Storage
}

// A Subject is a boot environment to be tested.
type Subject struct {
	Name string
	// Blank is the storage of a device that was never used.
	Blank Storage
	// Open is called after every reset, with a Clone of Blank.
	Open func(Storage) (boot.Env, error)
}

// An Invariant is what no power cut may break.
type Invariant string

// The invariants.
const (
	Bootable  Invariant = "a device that had a confirmed image starts a complete, verified one"
	Durable   Invariant = "what was saved or once loaded stays until the next save"
	Confirms  Invariant = "a confirmed image runs until another is put on trial"
	Bounded   Invariant = "an image that nobody confirms starts at most as often as it has tries"
	Floors    Invariant = "no image below the security floor starts, and the floor never sinks"
	Stored    Invariant = "an image that was finished is still complete after any reset"
	Works     Invariant = "load and save succeed on storage that is in order"
	Completes Invariant = "an update ends, confirmed or given up"
)

const (
	slotSize = 3 * slot.DescriptorSize
	tries    = 3
)

// An image is one that the suite made; number counts them.
type image struct {
	number int
	bytes  []byte
	desc   slot.Descriptor
}

func newImage(rng *rand.Rand, number int, security uint32) *image {
	b := make([]byte, 600+rng.IntN(1500))
	spoil(b, rng.Uint32)
	sum := sha256.Sum256(b)
	return &image{number, b, slot.Descriptor{Length: int64(len(b)), SHA256: sum, Security: security, Artifact: fmt.Sprint("image-", number)}}
}

// A device is one that the suite plays with: storage on one power, and what
// the suite knows that must hold of it.
type device struct {
	subject Subject
	power   *Power
	store   Storage
	slots   [2]*Disk
	images  map[boot.Image]*image
	report  func(Invariant, string)

	may       []boot.Vars        // what the next Load may return
	starts    map[boot.Image]int // of images nobody confirmed
	confirmed *image             // the last whose confirmation was saved
	floor     uint32             // the highest that was saved
	spoilt    bool               // the current image was spoilt by the suite
	broken    bool               // an invariant was; what the suite knows no longer holds
	running   slot.Slot
}

func newDevice(s Subject, rng *rand.Rand, report func(Invariant, string)) *device {
	d := &device{subject: s, images: map[boot.Image]*image{}, starts: map[boot.Image]int{}, report: report}
	d.may = []boot.Vars{{}}
	d.store, d.slots = s.Blank, [2]*Disk{NewDisk(slotSize), NewDisk(slotSize)}
	return d.clone(rng)
}

// clone returns the same device in another world, where chance is rng.
func (d *device) clone(rng *rand.Rand) *device {
	c := *d
	c.power = NewPower(rng)
	c.store = d.store.Clone(c.power)
	for i := range c.slots {
		c.slots[i] = d.slots[i].Clone(c.power).(*Disk)
	}
	c.may = slices.Clone(d.may)
	c.starts = map[boot.Image]int{}
	for k, v := range d.starts {
		c.starts[k] = v
	}
	return &c
}

func (d *device) violated(i Invariant, text string) {
	d.broken = true
	d.report(i, text)
}

// boot resets the device: its loader runs and starts something, or nothing. It
// returns the Env for the application.
func (d *device) boot() boot.Env {
	env, err := d.subject.Open(d.store)
	if err != nil {
		d.violated(Works, fmt.Sprintf("open: %v", err))
		return &Memory{}
	}
	w := &watch{env, d}
	open := func(s slot.Slot) (slot.File, error) { return d.slots[s-1], nil }
	dec, err := boot.Boot(w, boot.CheckSlots(open, nil))
	if err != nil {
		d.violated(Works, fmt.Sprintf("boot: %v", err))
	}
	d.running = dec.Slot
	d.judge(dec)
	return w
}

// judge looks at what the loader started.
func (d *device) judge(dec boot.Decision) {
	if dec.Action != boot.Run {
		if d.confirmed != nil {
			d.violated(Bootable, fmt.Sprintf("%v: %s", dec.Action, dec.Why))
		}
		return
	}
	id := dec.Vars.Slot(dec.Slot).Image
	im := d.images[id]
	if im == nil || !bytes.Equal(d.slots[dec.Slot-1].bytes[:len(im.bytes)], im.bytes) {
		d.violated(Bootable, fmt.Sprintf("slot %v was started and is not complete: %s", dec.Slot, dec.Why))
		return
	}
	if id.Security < d.floor {
		d.violated(Floors, fmt.Sprintf("image %d has security version %d, floor %d", im.number, id.Security, d.floor))
	}
	if dec.Vars.Trial == dec.Slot {
		if d.starts[id]++; d.starts[id] > tries {
			d.violated(Bounded, fmt.Sprintf("image %d started %d times", im.number, d.starts[id]))
		}
		return
	}
	if c := d.confirmed; c != nil && im.number < c.number && !d.spoilt {
		d.violated(Confirms, fmt.Sprintf("image %d runs, image %d was confirmed", im.number, c.number))
	}
}

// saved is called when v is sure to be stored.
func (d *device) saved(v boot.Vars) {
	d.may = append(d.may[:0], v)
	d.floor = max(d.floor, v.Floor)
	if v.Current != slot.None && v.Trial == slot.None {
		if im := d.images[v.Slot(v.Current).Image]; im != nil {
			d.confirmed = im
		}
	}
}

// A watch is an Env that compares what the Env below says with what it may say.
type watch struct {
	boot.Env
	d *device
}

func (w *watch) Load() (boot.Vars, error) {
	v, err := w.Env.Load()
	switch {
	case err != nil:
		w.d.violated(Works, fmt.Sprintf("load: %v", err))
	case !slices.Contains(w.d.may, v):
		w.d.violated(Durable, fmt.Sprintf("load = %+v, want one of %+v", v, w.d.may))
	}
	if err == nil && v.Floor < w.d.floor {
		w.d.violated(Floors, fmt.Sprintf("floor %d was %d", v.Floor, w.d.floor))
	}
	if err == nil {
		w.d.saved(v) // from here on nothing else
	}
	return v, err
}

func (w *watch) Save(v boot.Vars) error {
	w.d.may = append(w.d.may, v)
	err := w.Env.Save(v)
	if err != nil {
		w.d.violated(Works, fmt.Sprintf("save: %v", err))
		return err
	}
	w.d.saved(v)
	return nil
}
