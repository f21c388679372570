package uboot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/moult-ota/moult/internal/boot/variables"
)

// A Device holds copies: a block device or a file.
type Device interface {
	io.ReaderAt
	io.WriterAt
	// Sync returns when what was written survives a power cut.
	Sync() error
}

// ErrNone means that no copy is sound. U-Boot then runs on its built-in
// environment, which a sound one would replace: so none is made here.
var ErrNone = errors.New("no sound U-Boot environment; run saveenv in U-Boot once, and see that fw_env.config names the place where it saves")

// ErrKind means that the checksum is that of the other kind of environment.
var ErrKind = errors.New("fw_env.config does not say what U-Boot has")

// A Spot is one copy's place on an open Device.
type Spot struct {
	Device Device
	Offset int64
}

// A Disk is a variables.Store on one copy, or on two, of which it always
// writes the older one. With one copy a power cut during Write can leave none:
// then Read is ErrNone. What Read returns without error was written as a whole
// either way.
type Disk struct {
	spots []Spot
	size  int
}

var _ variables.Store = (*Disk)(nil)

// On returns the environment in one or two copies of size bytes each.
func On(size int, spots ...Spot) *Disk { return &Disk{spots, size} }

// Read returns the variables of the copy in force.
func (d *Disk) Read() (variables.Set, error) {
	c, _, err := d.newest()
	return c.Set, err
}

// Write sets the variables of s in the copy that is not in force, which then
// is; a single copy is written over.
func (d *Disk) Write(s variables.Set) error {
	c, at, err := d.newest()
	if err != nil {
		return err
	}
	maps.Copy(c.Set, s)
	c.Counter++ // 255 + 1 = 0
	p, err := AppendCopy(nil, c, d.size, d.redundant())
	if err != nil {
		return err
	}
	to := d.spots[(at+1)%len(d.spots)]
	if _, err := d.look(to); err != nil {
		// What a cut left here is perhaps all of an older write but a block.
		// A second cut could complete it: blocks of this write beside those.
		if err := put(to, make([]byte, headSize(d.redundant()))); err != nil {
			return err
		}
	}
	if err := put(to, p); err != nil {
		return err
	}
	if got, err := d.bytes(to); err != nil || !bytes.Equal(got, p) {
		return fmt.Errorf("write environment: it does not read back as written: %w", errors.Join(err, ErrSum))
	}
	return nil
}

func put(s Spot, p []byte) error {
	_, err := s.Device.WriteAt(p, s.Offset)
	if err == nil {
		err = s.Device.Sync()
	}
	if err != nil {
		return fmt.Errorf("write environment: %w", err)
	}
	return nil
}

// newest returns the copy in force and its number. A copy that cannot be read
// counts as unsound.
func (d *Disk) newest() (c Copy, at int, err error) {
	var why []error
	for i, spot := range d.spots {
		found, err := d.look(spot)
		switch {
		case err != nil:
			why = append(why, err)
		case c.Set == nil || newer(c.Counter, found.Counter):
			c, at = found, i
		}
	}
	if c.Set == nil {
		return c, 0, fmt.Errorf("%w: %w", ErrNone, errors.Join(slices.Compact(why)...))
	}
	return c, at, nil
}

func (d *Disk) look(s Spot) (Copy, error) {
	p, err := d.bytes(s)
	if err != nil {
		return Copy{}, err
	}
	c, err := ParseCopy(p, d.redundant())
	if errors.Is(err, ErrSum) {
		if _, other := ParseCopy(p, !d.redundant()); other == nil {
			return c, fmt.Errorf("%w: a copy that is one of %d, it has %d", ErrKind, 3-len(d.spots), len(d.spots))
		}
	}
	return c, err
}

func (d *Disk) bytes(s Spot) ([]byte, error) {
	p := make([]byte, d.size)
	if _, err := io.ReadFull(io.NewSectionReader(s.Device, s.Offset, int64(d.size)), p); err != nil {
		return nil, fmt.Errorf("read environment: %w", err)
	}
	return p, nil
}

func (d *Disk) redundant() bool { return len(d.spots) == 2 }
