package virtualmcu

import (
	"bytes"

	"github.com/fxamacker/cbor/v2"

	"github.com/moult-ota/moult/mcuboot"
)

// Errors of the image group, as Zephyr numbers them.
const (
	imageUnknown      = 1
	imageNotFound     = 8
	imageNoFreeSlot   = 9
	imageFlashWrite   = 12
	imageFlashErase   = 13
	imageBadSlot      = 14
	imageBadOffset    = 20
	imageBadLength    = 21
	imageBadHeader    = 22
	imageBadMagic     = 23
	imageBadHash      = 24
	imageNewerRuns    = 27
	imagePending      = 28
	imageTooLarge     = 30
	imageOverrun      = 31
	imageTestOfActive = 33
)

// asV1 is what a client of the first version hears of a group's error.
func asV1(group uint16, rc int) int {
	if group == groupOS {
		return map[int]int{osInvalidFormat: rcInvalid, osNoAnswer: rcNoEntry}[rc]
	}
	switch rc {
	case imageNoFreeSlot, imageNewerRuns, imagePending:
		return rcBadState
	case imageBadSlot, imageBadOffset, imageBadLength, imageBadHeader, imageBadHash:
		return rcInvalid
	}
	return rcUnknown
}

// state lists the images, as Zephyr computes the flags: from what the boot
// loader would do next.
func (d *Device) state(cbor.RawMessage) outcome {
	next, err := d.loader.Next()
	if err != nil {
		return outcome{rc: rcUnknown}
	}
	var images []map[string]any
	for slot := range 2 {
		im, err := d.loader.Image(slot)
		if err != nil {
			continue
		}
		entry := map[string]any{"slot": slot, "version": im.Header.Version.String(), "hash": im.Hash()}
		for name, set := range flags(slot, next, im) {
			if set || !d.opts.Frugal {
				entry[name] = set
			}
		}
		images = append(images, entry)
	}
	answer := map[string]any{"images": images}
	if !d.opts.Frugal {
		answer["splitStatus"] = 0
	}
	return outcome{body: answer}
}

func flags(slot int, next mcuboot.Swap, im *mcuboot.Image) map[string]bool {
	active := slot == 0
	return map[string]bool{
		"bootable":  im.Header.Flags&mcuboot.FlagNonBootable == 0,
		"active":    active,
		"confirmed": active != (next == mcuboot.SwapRevert),
		"pending":   !active && (next == mcuboot.SwapTest || next == mcuboot.SwapPerm),
		"permanent": !active && next == mcuboot.SwapPerm,
	}
}

// setState is test and confirm.
func (d *Device) setState(raw cbor.RawMessage) outcome {
	v, ok := body[struct {
		Hash    []byte `cbor:"hash"`
		Confirm bool   `cbor:"confirm"`
	}](raw)
	if !ok {
		return outcome{rc: rcInvalid}
	}
	slot := 0
	switch {
	case len(v.Hash) == 0 && !v.Confirm, len(v.Hash) != 0 && len(v.Hash) != 32:
		return outcome{group: imageBadHash}
	case len(v.Hash) != 0:
		if slot = d.find(v.Hash); slot < 0 {
			return outcome{group: imageNotFound}
		}
	}
	if rc := d.setNext(slot, v.Confirm); rc != 0 {
		return outcome{group: rc}
	}
	return d.state(nil)
}

// find returns the slot of an image, or -1.
func (d *Device) find(hash []byte) int {
	for slot := range 2 {
		if im, err := d.loader.Image(slot); err == nil && bytes.Equal(im.Hash(), hash) {
			return slot
		}
	}
	return -1
}

// setNext chooses what boots next. Zephyr's rules: what is chosen stays
// chosen, and an image on trial is confirmed or reverted first.
func (d *Device) setNext(slot int, confirm bool) (rc int) {
	next, err := d.loader.Next()
	if err != nil {
		return imageUnknown
	}
	switch {
	case slot == 0 && !confirm:
		return imageTestOfActive
	case next == mcuboot.SwapTest && slot == 1 && !confirm:
		return 0
	case next == mcuboot.SwapTest:
		return imagePending
	case next == mcuboot.SwapPerm && slot == 1 && confirm, next == mcuboot.SwapNone && slot == 0:
		return 0
	case next == mcuboot.SwapPerm:
		return imagePending
	case next == mcuboot.SwapRevert && slot == 1 && confirm:
		return 0
	case next == mcuboot.SwapRevert && !confirm:
		return imagePending
	case slot == 1:
		err = d.loader.SetPending(confirm)
	case d.app.habits.Confirm == ConfirmNever:
		return imageUnknown
	default:
		err = d.confirm()
	}
	if err != nil {
		d.opts.Log("%v", err)
		return imageFlashWrite
	}
	return 0
}

// free reports whether slot 1 is not waited for: neither to be started nor to
// be gone back to.
func (d *Device) free() bool {
	next, err := d.loader.Next()
	return err == nil && next == mcuboot.SwapNone
}

func (d *Device) eraseSlot(raw cbor.RawMessage) outcome {
	v := struct {
		Slot *int `cbor:"slot"`
	}{}
	switch err := cbor.Unmarshal(raw, &v); {
	case err != nil:
		return outcome{rc: rcInvalid}
	case v.Slot != nil && *v.Slot != 1:
		return outcome{group: imageBadSlot}
	case !d.free():
		return outcome{group: imageNoFreeSlot}
	}
	d.app.upload = upload{}
	if err := d.loader.Erase(1); err != nil {
		return outcome{group: imageFlashErase}
	}
	return outcome{erase: true}
}

func (d *Device) slotInfo(cbor.RawMessage) outcome {
	size := d.loader.SlotSize()
	return outcome{body: map[string]any{"images": []any{map[string]any{
		"image":          0,
		"slots":          []any{map[string]any{"slot": 0, "size": size}, map[string]any{"slot": 1, "size": size, "upload_image_id": 0}},
		"max_image_size": d.loader.MaxImage(),
	}}}}
}
