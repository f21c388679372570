// Package rootfs installs whole images into the slot that is not in use.
package rootfs

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/install"
	"github.com/moult-ota/moult/internal/slot"
)

// An Installer writes slots and sets the boot register. The fields up
// to DeviceType are needed.
type Installer struct {
	Env        boot.Env
	Open       func(slot.Slot) (slot.File, error)
	Running    slot.Slot // what was booted
	DeviceType string    // for the slot's descriptor
	Tries      uint8     // boots of a new image; 0 means boot.DefaultTries
	Ahead      bool      // read on while writing and hashing, in goroutines
}

var _ install.Installer = (*Installer)(nil)

// Write streams the only file of the payload into the other slot.
func (i *Installer) Write(ctx context.Context, p install.Payload) (install.Written, error) {
	target := i.Running.Other()
	if !target.Valid() {
		return install.Written{}, errors.New("write image: the device does not say which slot it runs")
	}
	file, err := p.Next()
	if err != nil {
		return install.Written{}, fmt.Errorf("read image: %w", err)
	}
	f, err := i.Open(target)
	if err != nil {
		return install.Written{}, fmt.Errorf("write image to slot %v: %w", target, err)
	}
	d := i.describe(p, file)
	if err := errors.Join(i.write(ctx, f, target, p, file, d), f.Close()); err != nil {
		return install.Written{}, fmt.Errorf("write image to slot %v: %w", target, err)
	}
	return install.Written{Target: target, Image: hex.EncodeToString(d.SHA256[:]), Security: p.Security}, nil
}

func (i *Installer) describe(p install.Payload, file *artifact.File) slot.Descriptor {
	d := slot.Descriptor{
		Length: file.Size, SHA256: file.SHA256, Security: p.Security,
		Artifact: short(p.Header.Name), DeviceType: short(i.DeviceType),
	}
	if len(p.Signed) <= slot.MaxExcerpt { // else loaders with a key refuse the slot
		d.Excerpt = p.Signed
	}
	return d
}

func short(text string) string { return text[:min(len(text), slot.MaxText)] }

// write releases the slot before its first byte changes, and describes it
// only after the artifact was complete.
func (i *Installer) write(ctx context.Context, f slot.File, target slot.Slot, p install.Payload, file *artifact.File, d slot.Descriptor) error {
	w, err := slot.NewWriter(f, file.Size)
	if err != nil {
		return err
	}
	if err := i.change(func(v boot.Vars) (boot.Vars, error) { return i.release(v, target) }); err != nil {
		return err
	}
	if i.Ahead {
		w.ReadBehind(func(f func()) { go f() })
		defer w.Stop()
	}
	file.SumLater() // Finish sums what was stored
	if err := i.copy(w, stoppable{ctx, file}, p.Stop); err != nil {
		return err
	}
	switch _, err := p.Next(); {
	case err == nil:
		return fmt.Errorf("artifact has a second file after %s", file.Name)
	case !errors.Is(err, io.EOF):
		return err
	}
	err = w.Finish(d)
	if came := new(slot.StreamError); errors.As(err, &came) {
		return file.WrongSum(came.Got)
	}
	return err
}

func (i *Installer) copy(dst io.Writer, src io.Reader, stop func()) error {
	if i.Ahead {
		return copyAhead(dst, src, stop)
	}
	_, err := io.Copy(dst, src)
	return err
}

// release wants a register that can go back to what runs now.
func (i *Installer) release(v boot.Vars, target slot.Slot) (boot.Vars, error) {
	if v.Current != i.Running {
		return v, fmt.Errorf("slot %v runs, but the boot register names slot %v as current; moult-agent show says more", i.Running, v.Current)
	}
	return boot.Release(v, target, i.Running)
}

// Activate sets the upgrade flag, for exactly the image that was written.
func (i *Installer) Activate(_ context.Context, w install.Written) (bool, error) {
	d, err := i.described(w.Target)
	if err != nil {
		return false, err
	}
	if hex.EncodeToString(d.SHA256[:]) != w.Image {
		return false, fmt.Errorf("activate slot %v: %w", w.Target, boot.ErrMismatch)
	}
	return true, i.change(func(v boot.Vars) (boot.Vars, error) {
		return boot.Request(v, w.Target, boot.ImageOf(d), i.Tries)
	})
}

func (i *Installer) described(s slot.Slot) (slot.Descriptor, error) {
	f, err := i.Open(s)
	if err != nil {
		return slot.Descriptor{}, fmt.Errorf("activate slot %v: %w", s, err)
	}
	defer f.Close()
	return slot.ReadDescriptor(f)
}

// Verify reports whether the new image is the one that was booted.
func (i *Installer) Verify(_ context.Context, w install.Written) error {
	if i.Running != w.Target {
		return fmt.Errorf("slot %v runs, the new image is in slot %v", i.Running, w.Target)
	}
	return nil
}

// Confirm makes the running slot current and raises the floor.
func (i *Installer) Confirm(ctx context.Context, w install.Written) error {
	if err := i.Verify(ctx, w); err != nil {
		return err
	}
	return i.change(func(v boot.Vars) (boot.Vars, error) { return boot.Confirm(v, w.Target, w.Security) })
}

// RollBack takes the upgrade flag back; the old image starts at the next boot.
func (i *Installer) RollBack(_ context.Context, w install.Written, why install.Reason) error {
	v, err := i.Env.Load()
	switch {
	case err != nil:
		return fmt.Errorf("read boot register: %w", err)
	case v.Trial == slot.None && v.Current == w.Target:
		return install.ErrKept
	case v.Trial == slot.None:
		return nil
	}
	return i.change(func(v boot.Vars) (boot.Vars, error) { return boot.RollBack(v, i.Running, reasons[why]) })
}

var reasons = map[install.Reason]boot.Reason{
	install.SelfTest: boot.ReasonSelfTest, install.NoContact: boot.ReasonNoContact, install.Operator: boot.ReasonOperator,
}

// Clean has nothing to do: a slot is only ever overwritten.
func (i *Installer) Clean(context.Context) error { return nil }

// change saves what f makes of the register, when that is something new.
func (i *Installer) change(f func(boot.Vars) (boot.Vars, error)) error {
	v, err := i.Env.Load()
	if err != nil {
		return fmt.Errorf("read boot register: %w", err)
	}
	next, err := f(v)
	if err != nil || next == v {
		return err
	}
	if err := i.Env.Save(next); err != nil {
		return fmt.Errorf("write boot register: %w", err)
	}
	return nil
}

// stoppable is a reader that ends with its context.
type stoppable struct {
	ctx context.Context
	r   io.Reader
}

func (s stoppable) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}
