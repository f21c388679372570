package mcu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/moult-ota/moult/internal/child"
	"github.com/moult-ota/moult/internal/install"
	"github.com/moult-ota/moult/internal/mcupayload"
	"github.com/moult-ota/moult/mcuboot"
)

// Write reads the image, checks all that can be checked here, and only then
// sends a byte of it to the child.
func (i *Installer) Write(ctx context.Context, p install.Payload) (install.Written, error) {
	text, err := i.receive(p)
	if err != nil {
		return install.Written{}, err
	}
	image, err := i.check(text, p)
	if err != nil {
		return install.Written{}, fmt.Errorf("%w: %w", install.ErrRefused, err)
	}
	w := install.Written{Image: nameOf(image).String(), Security: p.Security, Child: true}
	s, err := i.ready(ctx)
	if err != nil {
		return w, err
	}
	there, err := i.admit(image, s)
	if err != nil {
		return w, fmt.Errorf("%w: %w", install.ErrRefused, err)
	}
	if err := i.keep(text); err != nil {
		return w, err
	}
	if there {
		i.note("child runs %v already", image.Version)
		return w, nil
	}
	return w, i.send(ctx, image)
}

// receive reads the only file of the payload.
func (i *Installer) receive(p install.Payload) ([]byte, error) {
	f, err := p.Next()
	if err != nil {
		return nil, fmt.Errorf("read image: %w", err)
	}
	room := or(i.Room, maxFile)
	if f.Size > room {
		return nil, fmt.Errorf("%w: image of %d bytes, the child has room for %d", install.ErrRefused, f.Size, room)
	}
	text, err := io.ReadAll(io.LimitReader(f, room+1))
	if err != nil {
		return nil, fmt.Errorf("read image: %w", err)
	}
	switch _, err := p.Next(); {
	case err == nil:
		return nil, fmt.Errorf("%w: artifact has a second file after %s", install.ErrRefused, f.Name)
	case !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("read image: %w", err)
	}
	return text, nil
}

// check looks at the image itself, and whether the artifact says the truth.
func (i *Installer) check(text []byte, p install.Payload) (child.Image, error) {
	im, err := mcupayload.Read(bytes.NewReader(text)) // a trailer would stand where the child's own should
	if err != nil {
		return child.Image{}, err
	}
	if err := mcupayload.Check(im, i.Keys); errors.Is(err, mcuboot.ErrEncrypted) {
		return child.Image{}, fmt.Errorf("%w; leave the child's image_keys empty, then its boot loader alone checks them", err)
	} else if err != nil {
		return child.Image{}, err
	}
	hash := im.Hash()
	if len(hash) != 32 {
		return child.Image{}, fmt.Errorf("image has a hash of %d bytes, want SHA-256", len(hash))
	}
	image := child.Image{Bytes: text, Version: im.Header.Version, Hash: [32]byte(hash)}
	return image, errors.Join(i.checkBoard(im), mcupayload.Agree(p.Header.Provides, im))
}

// checkBoard refuses an image for another board, where boards are told apart.
func (i *Installer) checkBoard(im *mcuboot.Image) error {
	if i.ClassID == nil {
		return nil
	}
	for _, t := range im.Protected {
		if t.Type == mcuboot.TypeClassID && bytes.Equal(t.Value, i.ClassID) {
			return nil
		}
	}
	return fmt.Errorf("image is not for this board: its class id is not %x", i.ClassID)
}

// ready waits for the child, and ends a trial that no update asked for: its
// other slot has what it would go back to.
func (i *Installer) ready(ctx context.Context) (child.State, error) {
	s, err := i.state(ctx)
	if err != nil || s.Running.Hash == nil || s.Running.Confirmed {
		return s, err
	}
	i.note("child runs %v on trial; resetting it", s.Running.Version)
	if err := i.Child.Reset(ctx); err != nil && !errors.Is(err, child.ErrAway) {
		return s, fmt.Errorf("reset child: %w", err)
	}
	return i.state(ctx)
}

// admit compares the image with what runs, and reports whether it does so
// already. Two of one version cannot be told apart without a hash: then it is
// the same only if it is here because it was sent before.
func (i *Installer) admit(image child.Image, s child.State) (there bool, err error) {
	if nameOf(image).is(s.Running) {
		if s.Running.Hash != nil {
			return true, nil
		}
		before, err := i.Shelf.Load()
		if err == nil && !bytes.Equal(before, image.Bytes) {
			err = fmt.Errorf("child runs a version %v, and tells no more of it: give the new image another version", image.Version)
		}
		return true, err
	}
	if i.Newer && image.Version.Compare(s.Running.Version) < 0 {
		return false, fmt.Errorf("%w: version %v, the child runs %v", mcuboot.ErrDowngrade, image.Version, s.Running.Version)
	}
	return false, nil
}

// keep stores the image, and reads it back.
func (i *Installer) keep(text []byte) error {
	if err := i.Shelf.Save(text); err != nil {
		return fmt.Errorf("keep image: %w", err)
	}
	back, err := i.Shelf.Load()
	if err == nil && !bytes.Equal(back, text) {
		err = errors.New("what was read back differs from what was written")
	}
	if err != nil {
		return fmt.Errorf("keep image: %w", err)
	}
	return nil
}

// send goes on after the child or its bus was away, as long as each time some
// bytes more get there.
func (i *Installer) send(ctx context.Context, image child.Image) error {
	i.note("sending %v, %d bytes", image.Version, len(image.Bytes))
	began, far := i.now(), int64(0)
	for idle := 0; ; {
		more := false
		err := i.Child.Send(ctx, image, func(n int64) { more, far = more || n > far, max(far, n) })
		switch {
		case err == nil:
			i.note("sent in %v", i.now().Sub(began).Round(look))
			return i.arrived(ctx, image)
		case errors.Is(err, child.ErrRefused):
			return fmt.Errorf("%w: %w", install.ErrRefused, err)
		case ctx.Err() != nil:
			return err
		}
		if idle++; more {
			idle = 0
		}
		i.note("sending ended at %d bytes: %v", far, err)
		if idle == sends {
			return fmt.Errorf("send image: %w", err)
		}
		if _, err := i.state(ctx); err != nil {
			return fmt.Errorf("send image: %w", err)
		}
	}
}

// arrived compares what the child says it has, where it says that.
func (i *Installer) arrived(ctx context.Context, image child.Image) error {
	s, err := i.state(ctx)
	if err != nil || s.Running.Hash == nil || nameOf(image).is(s.Other) {
		return err
	}
	return fmt.Errorf("child has %x in its other slot, %x was sent", s.Other.Hash, image.Hash)
}
