// Package dfu reaches a child by USB Device Firmware Upgrade 1.1, or ST's
// DfuSe: it detaches the application, finds the device again by its port,
// chooses the alternate setting by its name and downloads. Linux's usbfs is
// all it needs; Debian's dfu-util can do the transfer instead.
//
// DFU has no more than a download. What a deployment needs besides is told
// here as it is:
//
//   - State reads the running version from USB's descriptors, see
//     Options.Version, and knows neither hashes nor the other slot.
//   - Try does nothing. Zephyr's legacy stack asks MCUboot for the test when the
//     download ends; with its new stack the application must.
//   - Confirm is child.ErrSelf: the new image confirms itself, or goes at the
//     next reset.
//   - Reset is for Options.Restart, as most devices do not restart when they
//     are asked to over USB. Many restart by themselves after a download, and
//     then the new image runs when Send returned.
package dfu

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moult-ota/moult/internal/child"
	"github.com/moult-ota/moult/mcuboot"
)

// Options say which device, and how it behaves. Match is needed.
type Options struct {
	Match Match
	Bus   Bus // nil: Linux{}

	// Alts are names of alternate settings, the first that is there is taken;
	// of a DfuSe memory map its name. nil: image_1, slot1_image.
	Alts    []string
	Address uint32 // DfuSe: where the image goes; a container says that itself

	// Version is where the running version is read:
	//   ""     in the string of the DFU interface, of another interface, or the
	//          product's name, as 1.2.3 or 1.2.3+4
	//   bcd    in bcdDevice as JJ.NN, 0x0104 is 1.4.0; it is the same in DFU mode
	//   bcd3   in bcdDevice as JJ.M.N, 0x0142 is 1.4.2; it is the same in DFU mode
	//   none   nowhere: State leaves it zero
	//   else   a regular expression with one group, over the strings above
	Version string

	// Restart restarts the child by other means than USB, as uhubctl does.
	Restart func(context.Context) error
	ResetBy ResetBy // without Restart

	// Program is a dfu-util that does the transfers; "": none, this package
	// does. It needs Folder, for the image to send.
	Program string
	Folder  string

	Leave  time.Duration // from DETACH until DFU mode; 0 means 10 seconds
	Busy   time.Duration // for one block, with the erase before it, and for what comes after the last; 0 means 2 minutes
	Down   time.Duration // from a reset, or the end of a download, until the device leaves the bus, if it does; 0 means 5 seconds
	Linger time.Duration // that a device may be in DFU mode by itself, as boot loaders are that wait for a host; 0 means 20 seconds
}

// ResetBy is how Reset does it over USB.
type ResetBy int

// The ways.
const (
	// ResetNever: not at all, while the application runs. A device in DFU mode
	// has its port reset: DFU 1.1 has it start its application then.
	ResetNever ResetBy = iota
	// ResetPort: the application restarts when its port is reset.
	ResetPort
	// ResetDetach: DETACH starts a boot loader with DFU, and a reset of the port
	// the application again.
	ResetDetach
)

// A Child is a child.Child over USB DFU.
type Child struct {
	o       Options
	version version
}

var _ child.Child = (*Child)(nil)

// New checks the options. The device need not be there.
func New(o Options) (*Child, error) {
	v, err := parseVersion(o.Version)
	if err != nil {
		return nil, err
	}
	if o.Match == (Match{}) {
		return nil, errors.New("USB DFU: no device is named")
	}
	if o.Program != "" && o.Folder == "" {
		return nil, fmt.Errorf("%s: no folder for images", o.Program)
	}
	if o.Bus == nil {
		o.Bus = Linux{}
	}
	if o.Alts == nil {
		o.Alts = []string{"image_1", "slot1_image"}
	}
	for limit, zeroMeans := range map[*time.Duration]time.Duration{&o.Leave: 10 * time.Second, &o.Busy: 2 * time.Minute, &o.Down: 5 * time.Second, &o.Linger: 20 * time.Second} {
		if *limit == 0 {
			*limit = zeroMeans
		}
	}
	return &Child{o, v}, nil
}

// State reads the version of the application. A device in DFU mode that tells
// none is away; when nobody transfers anything and it is there for longer than
// Options.Linger, State restarts it: a transfer that was cut left it so.
func (c *Child) State(ctx context.Context) (s child.State, err error) {
	d, err := c.find()
	if err != nil {
		return s, err
	}
	v, told := c.version.of(d)
	switch {
	case told:
		s.Running.Version = v
		return s, nil
	case d.inDFU():
		return s, fmt.Errorf("%w: it is in DFU mode%s", child.ErrAway, c.rescue(ctx, d))
	case c.o.Version == VersionUntold:
		return s, nil
	}
	return s, fmt.Errorf("%s tells no version in its strings; set where to read it", d)
}

// Send downloads the image. One that runs already, by its version, is not
// sent again. A file with a DFU suffix goes to the device that it names only.
// Afterwards it waits for the device to restart, as many do: to restart it a
// second time would end the trial of the new image.
func (c *Child) Send(ctx context.Context, image child.Image, told func(int64)) error {
	if told == nil {
		told = func(int64) {}
	}
	d, err := c.find()
	if err != nil {
		return err
	}
	if v, ok := c.version.of(d); ok && same(v, image.Version) {
		told(int64(len(image.Bytes)))
		return nil
	}
	file, err := c.admit(d, image.Bytes)
	if err != nil {
		return err
	}
	if d, err = c.toDFU(ctx, d); err != nil {
		return err
	}
	if c.o.Program != "" {
		err = c.program(ctx, d, file, told)
	} else {
		err = c.download(ctx, d, file, told)
	}
	if err != nil {
		return err
	}
	told(int64(len(image.Bytes)))
	c.leaves(ctx, d)
	return ctx.Err()
}

// same compares with what a device tells, which may be no build number.
func same(told, want mcuboot.Version) bool {
	return told.Compare(want) == 0 && (told.Build == 0 || told.Build == want.Build)
}

// Try was done by the transfer, or is the application's.
func (c *Child) Try(ctx context.Context, _ child.Image) error {
	_, err := c.find()
	return err
}

// Confirm is ErrSelf.
func (c *Child) Confirm(context.Context) error { return child.ErrSelf }

// Close has nothing to let go of: the device is open during a call only.
func (c *Child) Close() error { return nil }

func (c *Child) find() (Device, error) {
	all, err := c.o.Bus.Devices()
	if err != nil {
		return Device{}, err
	}
	return c.o.Match.find(all)
}
