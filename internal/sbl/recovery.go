package sbl

import (
	"errors"
	"fmt"
	"io"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/install"
	"github.com/moult-ota/moult/internal/install/rootfs"
	"github.com/moult-ota/moult/internal/slot"
	"github.com/moult-ota/moult/internal/update"
)

// payloadType is what an image for a slot is called in an artifact.
const payloadType = "rootfs-image"

// maxWrap is what an artifact may have beside its image, in bytes: header,
// tar, and what packing adds to an image that does not pack.
const maxWrap = 8 << 20

// A recovery puts an image that it is given onto a board that has nothing to
// start. What runs out of power in the middle has nothing to start, or what
// it had, or the new image whole; so it is begun again as often as it takes.
//
//	load register ──► pick slot ──► header: signature, gate ──► release slot
//	     current = slot ◄── descriptor ◄── read back ◄── write ◄──┘
type recovery struct {
	env        boot.Env
	open       func(slot.Slot) (slot.File, error)      // to write
	fetch      func(most int64) (io.ReadCloser, error) // the artifact, from its start
	keys       []artifact.Verifier                     // any of which must have signed it
	verify     func(slot.Descriptor) error             // what the loader will ask before it starts the slot
	deviceType string
	say        func(format string, args ...any)
}

// errNoRecovery: recovery is closed, and how it is opened.
var errNoRecovery = errors.New("no recovery")

// run returns nil when the register names an image that is there.
func (r recovery) run() error {
	if len(r.keys) == 0 || r.deviceType == "" {
		return fmt.Errorf("%w without verify-keys and device-type", errNoRecovery)
	}
	v, err := r.env.Load()
	if err != nil { // the floor is not known
		return fmt.Errorf("%w without the register: %w", errNoRecovery, err)
	}
	for _, s := range targets(v) {
		if err = r.fill(v, s); !errors.Is(err, rootfs.ErrSlot) {
			return err
		}
		r.say("%v", err)
		if v, err = r.env.Load(); err != nil {
			return err
		}
	}
	return errors.New("recover: neither slot keeps an image")
}

// targets are the slots to write, in the order in which they are tried. The
// current one is last: its image may be sound, and only not readable today.
func targets(v boot.Vars) []slot.Slot {
	first := slot.A
	if v.Current.Valid() {
		first = v.Current.Other()
	}
	return []slot.Slot{first, first.Other()}
}

// fill fetches the artifact, and makes its image in s the current one.
func (r recovery) fill(v boot.Vars, s slot.Slot) error {
	f, room, err := r.slot(s)
	if err != nil {
		return fmt.Errorf("recover slot %v: %w: %w", s, rootfs.ErrSlot, err)
	}
	defer f.Close()
	in, err := r.fetch(room + room/64 + maxWrap)
	if err != nil {
		return fmt.Errorf("recover slot %v: %w", s, err)
	}
	defer in.Close()
	limits := artifact.Limits{Manifest: 64 << 10, Header: 1 << 20, HeaderUnpacked: 4 << 20, Payload: room + maxWrap, Window: 8 << 20}
	a, err := artifact.NewReader(in, artifact.ReaderOptions{Keys: r.keys, Limits: limits})
	if err != nil {
		return fmt.Errorf("recover slot %v: %w", s, err)
	}
	defer a.Close()
	if err := r.place(v, s, f, a); err != nil {
		return fmt.Errorf("recover slot %v: %w", s, err)
	}
	return nil
}

// slot opens a slot to write, and says how long an image it takes.
func (r recovery) slot(s slot.Slot) (slot.File, int64, error) {
	f, err := r.open(s)
	if err != nil {
		return nil, 0, err
	}
	room, err := slot.Capacity(f)
	if err != nil {
		f.Close()
	}
	return f, room, err
}

// place brings the image of an artifact, whose signature was checked, into f,
// and into the register.
func (r recovery) place(v boot.Vars, s slot.Slot, f slot.File, a *artifact.Reader) error {
	p, err := r.admit(v, a)
	if err != nil {
		return fmt.Errorf("refuse %s: %w", p.Header.Name, err)
	}
	r.say("%s, security version %d, is signed; writing it into slot %v", p.Header.Name, p.Security, s)
	d, err := rootfs.Place(f, p, r.deviceType, func() error { v, err = r.release(v, s); return err })
	if err != nil {
		return err
	}
	return r.current(v, s, d)
}

// admit asks what an agent asks before it writes, and whether the loader will
// be able to check the slot.
func (r recovery) admit(v boot.Vars, a *artifact.Reader) (install.Payload, error) {
	h := a.Header()
	p := install.Payload{Header: h, Signed: a.Signed(), Next: a.Next}
	gate := update.Gate{DeviceType: r.deviceType, Floor: v.Floor}
	security, err := gate.Admit(h, h.PayloadType == payloadType)
	p.Security = security.Floor
	switch {
	case err != nil:
	case h.PayloadType != payloadType:
		err = fmt.Errorf("it is a %s, want a %s", h.PayloadType, payloadType)
	case len(p.Signed) > slot.MaxExcerpt:
		err = fmt.Errorf("its signed manifest has %d bytes, the slot keeps %d", len(p.Signed), slot.MaxExcerpt)
	}
	return p, err
}

// release is saved before a byte changes. The current slot cannot be released
// and need not be: the register names an image that it no longer holds.
func (r recovery) release(v boot.Vars, s slot.Slot) (boot.Vars, error) {
	if s == v.Current {
		return v, nil
	}
	next, err := boot.Release(v, s, slot.None)
	if err != nil || next == v {
		return v, err
	}
	if err := r.env.Save(next); err != nil {
		return v, fmt.Errorf("write boot register: %w", err)
	}
	return next, nil
}

func (r recovery) current(v boot.Vars, s slot.Slot, d slot.Descriptor) error {
	err := r.verify(d)
	if err == nil {
		v, err = boot.Recovered(v, s, boot.ImageOf(d))
	}
	if err != nil {
		return err
	}
	if err := r.env.Save(v); err != nil {
		return fmt.Errorf("write boot register: %w", err)
	}
	r.say("slot %v holds %s, %d bytes, and is current", s, d.Artifact, d.Length)
	return nil
}
