package gateway

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/moult-ota/moult/internal/child"
	"github.com/moult-ota/moult/internal/child/dfu"
)

// resets are the words for how a USB device restarts.
var resets = map[string]dfu.ResetBy{"": dfu.ResetNever, "port": dfu.ResetPort, "detach": dfu.ResetDetach}

// checkUSB wants a way to restart the child: an image that came by DFU confirms
// itself, and only a restart shows whether it did.
func checkUSB(k *Child) error {
	if _, err := dfu.ParseMatch(k.Address); err != nil {
		return fmt.Errorf("address: %w; moult-gateway find lists them", err)
	}
	by, known := resets[k.ResetBy]
	switch {
	case !known:
		return fmt.Errorf("reset_by %.80q: want port, or detach", k.ResetBy)
	case by == dfu.ResetNever && k.ResetCommand == "":
		return errors.New("set reset_command, as one with uhubctl or a GPIO, or reset_by: without a restart nobody can tell whether a new image stays")
	}
	_, err := openDFU(k, "")
	return err
}

func (k *Child) usbOptions(folder string) (o dfu.Options, err error) {
	if o.Match, err = dfu.ParseMatch(k.Address); err != nil {
		return o, err
	}
	o.Bus, o.Alts, o.Version, o.ResetBy, o.Folder = k.usb, k.Alts, k.VersionIn, resets[k.ResetBy], folder
	if k.VersionCommand != "" {
		o.Version = dfu.VersionUntold
	}
	if k.ResetCommand != "" { // also for a board that was left in DFU mode
		o.Restart = func(ctx context.Context) error {
			_, err := (&bus{k: k}).run(ctx, k.ResetCommand)
			return err
		}
	}
	if k.FlashAddress != "" {
		n, err := strconv.ParseUint(k.FlashAddress, 0, 32)
		if err != nil {
			return o, fmt.Errorf("flash_address %.80q: want a number of 32 bits", k.FlashAddress)
		}
		o.Address = uint32(n)
	}
	return o, nil
}

func openDFU(k *Child, folder string) (child.Child, error) {
	o, err := k.usbOptions(folder)
	if err != nil {
		return nil, err
	}
	return dfu.New(o)
}

// openDFUUtil leaves the transfers to Debian's dfu-util.
func openDFUUtil(k *Child, folder string) (child.Child, error) {
	o, err := k.usbOptions(folder)
	if err != nil {
		return nil, err
	}
	o.Program = or(k.Program, "dfu-util")
	return dfu.New(o)
}
