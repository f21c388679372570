package smp

import "fmt"

// Codes of SMP itself, and of everything in version 1.
const (
	RCOK           = 0
	RCUnknown      = 1
	RCNoMemory     = 2
	RCInvalid      = 3
	RCTimeout      = 4
	RCNoEntry      = 5
	RCBadState     = 6
	RCTooLarge     = 7
	RCNotSupported = 8
	RCCorrupt      = 9
	RCBusy         = 10
	RCDenied       = 11
	RCTooOld       = 12
	RCTooNew       = 13
)

var rcNames = []string{
	"ok", "unknown error", "no memory", "invalid value", "timeout", "no such entry", "bad state", "message too large",
	"not supported", "corrupt", "busy", "access denied", "client too old", "client too new",
}

// Codes of the image group in version 2.
const (
	ImageUnknown        = 1
	ImageNoImage        = 3
	ImageNoTLVs         = 4
	ImageBadTLV         = 5
	ImageManyHashes     = 6
	ImageBadTLVSize     = 7
	ImageHashNotFound   = 8
	ImageNoFreeSlot     = 9
	ImageBadSlot        = 14
	ImageBadOffset      = 20
	ImageBadLength      = 21
	ImageBadHeader      = 22
	ImageBadMagic       = 23
	ImageBadHash        = 24
	ImageNewerRuns      = 27
	ImageAlreadyPending = 28
	ImageBadVectors     = 29
	ImageTooLarge       = 30
	ImageOverrun        = 31
)

var imageNames = []string{
	"ok", "unknown error", "flash configuration", "no image", "no TLVs", "invalid TLV", "more than one hash", "TLV of a wrong size",
	"hash not found", "no free slot", "flash open", "flash read", "flash write", "flash erase", "invalid slot", "no free memory",
	"flash context set already", "flash context not set", "no flash device", "invalid page offset", "invalid offset", "invalid length",
	"invalid image header", "invalid image magic", "invalid hash", "invalid flash address", "no version", "a newer version runs",
	"an image is pending already", "invalid vector table", "image too large", "more data than the image has",
	"confirmation denied", "the running image cannot be tested", "active slot not known",
}

// An Error is what a server answers instead of a message.
type Error struct {
	Group  int // whose code it is; -1: SMP's own, which all of version 1 is
	Code   int // not zero
	Reason string
}

// SMP is the Group of errors that are of no group.
const SMP = -1

// Has reports whether it is a code of a group.
func (e *Error) Has(group, code int) bool { return e.Group == group && e.Code == code }

func (e *Error) Error() string {
	text := fmt.Sprintf("SMP error %d", e.Code)
	names := rcNames
	switch {
	case e.Group == GroupImage:
		text, names = fmt.Sprintf("image error %d", e.Code), imageNames
	case e.Group != SMP:
		text, names = fmt.Sprintf("error %d of group %d", e.Code, e.Group), nil
	}
	if e.Code > 0 && e.Code < len(names) {
		text += " (" + names[e.Code] + ")"
	}
	if e.Reason != "" {
		text += fmt.Sprintf(": %.200q", e.Reason)
	}
	return text
}

type failure struct {
	Err *group  `cbor:"err,omitempty"`
	RC  *int    `cbor:"rc,omitempty"`
	RSN *string `cbor:"rsn,omitempty"`
}

type group struct {
	RC    int    `cbor:"rc"`
	Group uint16 `cbor:"group"`
}

// ParseError returns the *Error in an answer, nil when it is none, or what is
// wrong with the answer. SMP's own errors look alike in both versions, and
// "rc": 0 is none.
func ParseError(body []byte) error {
	var f failure
	if err := unmarshal(body, &f); err != nil {
		return fmt.Errorf("parse answer: %w: %w", ErrMessage, err)
	}
	e := &Error{Group: SMP}
	switch {
	case f.Err != nil && f.Err.RC != RCOK:
		e.Group, e.Code = int(f.Err.Group), f.Err.RC
	case f.RC != nil && *f.RC != RCOK:
		e.Code = *f.RC
	default:
		return nil
	}
	if f.RSN != nil {
		e.Reason = *f.RSN
	}
	return e
}

// AppendError appends the body of an answer that is an error: of a group as
// version 2 has it, of SMP as both have it.
func AppendError(dst []byte, e *Error) ([]byte, error) {
	f := failure{}
	switch {
	case e.Code == RCOK || e.Group > 0xffff || e.Group < SMP || len(e.Reason) > maxText:
		return dst, fmt.Errorf("append error: %w: %w", ErrMessage, e)
	case e.Group == SMP:
		f.RC = &e.Code
	default:
		f.Err = &group{e.Code, uint16(e.Group)}
	}
	if e.Reason != "" {
		f.RSN = &e.Reason
	}
	body, err := encoder.Marshal(f)
	return append(dst, body...), err
}
