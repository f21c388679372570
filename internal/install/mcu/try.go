package mcu

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moult-ota/moult/internal/child"
	"github.com/moult-ota/moult/internal/install"
	"github.com/moult-ota/moult/mcuboot"
)

// Activate starts the new image for one boot. That the child came back is all
// it says; what runs then is for Verify.
func (i *Installer) Activate(ctx context.Context, w install.Written) (boot bool, err error) {
	want, err := parseName(w.Image)
	if err != nil {
		return false, err
	}
	for n := 1; ; n++ {
		s, err := i.state(ctx)
		if err != nil || want.is(s.Running) { // also when a power cut started what was tried
			return false, err
		}
		image, err := i.kept(want)
		if err != nil {
			return false, err
		}
		err = i.Child.Try(ctx, image)
		if err == nil {
			return false, i.start(ctx, want)
		}
		if n == tries || ctx.Err() != nil { // an error, too, may be what a power cut made of it
			return false, fmt.Errorf("try image: %w", err)
		}
		i.note("try image: %v", err)
	}
}

// kept is the image that Write kept.
func (i *Installer) kept(want name) (child.Image, error) {
	text, err := i.Shelf.Load()
	if err != nil {
		return child.Image{}, fmt.Errorf("read image: %w", err)
	}
	im, _, err := mcuboot.Parse(text)
	if err != nil {
		return child.Image{}, fmt.Errorf("read image: %w", err)
	}
	if string(im.Hash()) != string(want.hash[:]) {
		return child.Image{}, errors.New("read image: another one was kept than was written")
	}
	return child.Image{Bytes: text, Version: want.version, Hash: want.hash}, nil
}

// start resets the child. It looks before each reset: a power cut may have
// started the image already, and another reset would end its trial.
func (i *Installer) start(ctx context.Context, want name) error {
	for n := 1; ; n++ {
		s, err := i.state(ctx)
		if err != nil || want.is(s.Running) {
			return err
		}
		i.note("resetting the child")
		lost := i.Child.Reset(ctx)
		if lost != nil && !errors.Is(lost, child.ErrAway) {
			return fmt.Errorf("reset child: %w", lost)
		}
		if s, err = i.state(ctx); err != nil {
			return fmt.Errorf("after the reset: %w", err)
		}
		i.note("child runs %v", s.Running.Version)
		again := s.Other.Pending || s.Running.Hash == nil && lost != nil
		switch {
		case want.is(s.Running):
			return nil
		case again && n < resets:
			continue
		case again:
			return errors.New("child does not start the new image, however often it is reset")
		case s.Running.Hash != nil && !want.is(s.Other):
			return fmt.Errorf("%w: its boot loader did not take it; is it signed with the child's key?", child.ErrRefused)
		}
		return nil // it ran and was given up, as far as can be known: Verify says so
	}
}

// Confirm makes what runs permanent.
func (i *Installer) Confirm(ctx context.Context, w install.Written) error {
	want, err := parseName(w.Image)
	if err != nil {
		return err
	}
	s, err := i.running(ctx, want)
	if err != nil || s.Running.Confirmed {
		return err
	}
	switch err := i.Child.Confirm(ctx); {
	case errors.Is(err, child.ErrSelf):
		return i.prove(ctx, want)
	case err != nil:
		return fmt.Errorf("confirm image: %w", err)
	}
	if s, err = i.running(ctx, want); err == nil && s.Running.Hash != nil && !s.Running.Confirmed {
		err = errors.New("confirm image: the child took it, and still says that it is on trial")
	}
	return err
}

// prove resets a child whose image confirms itself: only what runs after that
// stays. A reset that was not seen to happen proves nothing.
func (i *Installer) prove(ctx context.Context, want name) error {
	if err := i.sleep(ctx, or(i.Settle, 30*time.Second)); err != nil {
		return err
	}
	i.note("resetting the child, to see that %v stays", want.version)
	if err := i.Child.Reset(ctx); err != nil {
		return fmt.Errorf("reset child: %w", err)
	}
	s, err := i.state(ctx)
	if err == nil && !want.is(s.Running) {
		err = fmt.Errorf("child went back to %v at the next reset: the new image never confirmed itself", s.Running.Version)
	}
	return err
}

// RollBack resets a child until the old image runs. What stays over a reset
// is permanent.
func (i *Installer) RollBack(ctx context.Context, w install.Written, _ install.Reason) error {
	want, err := parseName(w.Image)
	if err != nil {
		return err
	}
	seen := false
	for range 2 * resets {
		s, err := i.state(ctx)
		runs := err == nil && want.is(s.Running)
		switch {
		case err != nil:
			return err
		case runs && (s.Running.Confirmed || seen):
			return install.ErrKept
		case !runs && !(want.is(s.Other) && s.Other.Pending):
			i.note("child runs %v", s.Running.Version)
			return nil
		}
		i.note("resetting the child, to go back from %v", want.version)
		err = i.Child.Reset(ctx) // if the new one only waits, it comes up now and goes at the next
		if err != nil && !errors.Is(err, child.ErrAway) {
			return fmt.Errorf("reset child: %w", err)
		}
		seen = runs && err == nil
	}
	return fmt.Errorf("child does not go back from %v, however often it is reset", want.version)
}

// Clean removes the image from the gateway. What the child has in its other
// slot stays until something else is sent.
func (i *Installer) Clean(context.Context) error { return i.Shelf.Clear() }
