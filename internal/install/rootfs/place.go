package rootfs

import (
	"errors"
	"fmt"
	"io"

	"github.com/moult-ota/moult/internal/install"
	"github.com/moult-ota/moult/internal/slot"
)

// ErrSlot means that a slot did not keep what was written to it. What came was
// not to blame.
var ErrSlot = errors.New("slot does not keep what is written")

// Place streams the only file of a payload into f, a slot that nothing runs
// from, and describes it there once the artifact came whole and as signed. For
// devices without an image; an Installer does more. begin is called when the
// image is known to fit, before a byte changes; nil does nothing.
func Place(f slot.File, p install.Payload, deviceType string, begin func() error) (slot.Descriptor, error) {
	file, err := p.Next()
	if err != nil {
		return slot.Descriptor{}, fmt.Errorf("read image: %w", err)
	}
	d := (&Installer{DeviceType: deviceType}).describe(p, file)
	w, err := slot.NewWriter(f, file.Size)
	if err == nil && begin != nil {
		err = begin()
	}
	if err != nil {
		return d, err
	}
	in := &reading{r: file}
	if _, err := io.Copy(w, in); err != nil {
		return d, in.blame(err)
	}
	switch _, err := p.Next(); {
	case err == nil:
		return d, fmt.Errorf("artifact has a second file after %s", file.Name)
	case !errors.Is(err, io.EOF):
		return d, err
	}
	if err := w.Finish(d); err != nil {
		return d, in.blame(err)
	}
	return d, nil
}

// reading remembers how reading ended.
type reading struct {
	r   io.Reader
	err error
}

func (r *reading) Read(p []byte) (n int, err error) {
	n, r.err = r.r.Read(p)
	return n, r.err
}

// blame marks an error that did not come from reading.
func (r *reading) blame(err error) error {
	if r.err != nil && !errors.Is(r.err, io.EOF) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrSlot, err)
}
