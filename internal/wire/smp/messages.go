package smp

import "errors"

// Empty is the request of State, Params and Slots, and the answer to Reset
// and Erase.
type Empty struct{}

// An EchoRequest asks for the same text.
type EchoRequest struct {
	Text string `cbor:"d"`
}

// An EchoAnswer is that text.
type EchoAnswer struct {
	Text string `cbor:"r"`
}

// A ResetRequest restarts the device.
type ResetRequest struct {
	Force bool `cbor:"force,omitempty"`
}

// A ParamsAnswer says what a server has room for.
type ParamsAnswer struct {
	BufferSize uint32 `cbor:"buf_size"` // of one packet with its header, in bytes
	Buffers    uint32 `cbor:"buf_count"`
}

// A LoaderRequest asks for the boot loader's name, or with "mode" for how it
// swaps.
type LoaderRequest struct {
	Query string `cbor:"query,omitempty"`
}

// A LoaderAnswer is what was asked for.
type LoaderAnswer struct {
	Name        string `cbor:"bootloader,omitempty"`
	Mode        *int   `cbor:"mode,omitempty"`
	NoDowngrade bool   `cbor:"no-downgrade,omitempty"`
}

// A StateRequest with a hash makes that image boot next, once or with Confirm
// for good; without one it confirms what runs.
type StateRequest struct {
	Hash    []byte `cbor:"hash,omitempty"`
	Confirm bool   `cbor:"confirm"`
}

// A StateAnswer lists the images.
type StateAnswer struct {
	Images []Image `cbor:"images"`
	Split  *int    `cbor:"splitStatus,omitempty"`
}

// An Image is one slot that has an image. Frugal servers leave out what is
// false.
type Image struct {
	Image     uint32 `cbor:"image,omitempty"`
	Slot      uint32 `cbor:"slot"`
	Version   string `cbor:"version"`
	Hash      []byte `cbor:"hash,omitempty"` // the image's hash TLV
	Bootable  bool   `cbor:"bootable,omitempty"`
	Pending   bool   `cbor:"pending,omitempty"`
	Confirmed bool   `cbor:"confirmed,omitempty"`
	Active    bool   `cbor:"active,omitempty"`
	Permanent bool   `cbor:"permanent,omitempty"`
}

// An UploadRequest carries a piece of an image. Len, SHA, Image and Upgrade
// are of the first one, at offset 0.
type UploadRequest struct {
	Image   uint32  `cbor:"image,omitempty"`
	Off     uint32  `cbor:"off"`
	Len     *uint32 `cbor:"len,omitempty"`
	SHA     []byte  `cbor:"sha,omitempty"` // SHA-256 of the file
	Data    []byte  `cbor:"data"`
	Upgrade bool    `cbor:"upgrade,omitempty"`
}

// An UploadAnswer says which offset is wanted next.
type UploadAnswer struct {
	Off   uint32 `cbor:"off"`
	Match *bool  `cbor:"match,omitempty"` // the last one: all of it has the SHA
}

// An EraseRequest erases a slot; nil is slot 1.
type EraseRequest struct {
	Slot *uint32 `cbor:"slot,omitempty"`
}

// A SlotsAnswer says how large the slots are.
type SlotsAnswer struct {
	Images []SlotImage `cbor:"images"`
}

// A SlotImage is one image's slots.
type SlotImage struct {
	Image uint32     `cbor:"image"`
	Slots []SlotSize `cbor:"slots"`
	Max   *uint32    `cbor:"max_image_size,omitempty"` // bytes
}

// A SlotSize is one slot.
type SlotSize struct {
	Slot   uint32  `cbor:"slot"`
	Size   uint32  `cbor:"size"`                      // bytes
	Upload *uint32 `cbor:"upload_image_id,omitempty"` // what to name in an upload to it
}

func (Empty) check() error           { return nil }
func (m EchoRequest) check() error   { return most("text", len(m.Text), maxText) }
func (m EchoAnswer) check() error    { return most("text", len(m.Text), maxText) }
func (ResetRequest) check() error    { return nil }
func (ParamsAnswer) check() error    { return nil }
func (m LoaderRequest) check() error { return most("query", len(m.Query), maxText) }
func (m LoaderAnswer) check() error  { return most("name", len(m.Name), maxText) }
func (m StateRequest) check() error  { return most("hash", len(m.Hash), maxHash) }
func (m UploadAnswer) check() error  { return nil }
func (m EraseRequest) check() error  { return nil }

// maxVersion bounds a version's text, in bytes; 255.255.65535+4294967295 has 24.
const maxVersion = 64

func (m StateAnswer) check() error {
	errs := []error{most("list", len(m.Images), maxArray)}
	for _, i := range m.Images {
		errs = append(errs, most("version", len(i.Version), maxVersion), most("hash", len(i.Hash), maxHash))
	}
	return errors.Join(errs...)
}

func (m UploadRequest) check() error { return most("sha", len(m.SHA), maxHash) }

func (m SlotsAnswer) check() error {
	errs := []error{most("list", len(m.Images), maxArray)}
	for _, i := range m.Images {
		errs = append(errs, most("list", len(i.Slots), maxArray))
	}
	return errors.Join(errs...)
}
