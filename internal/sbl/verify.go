package sbl

import (
	"fmt"
	"strings"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/slot"
)

// verifier returns what is asked about a slot whose digest is right: whether
// one of the keys signed an artifact with this image, and with what security
// version. Without keys it is nil: digests are all that is checked. A key that
// cannot be read signs nothing, and when none can be read, no slot is fit to
// start.
func (o Options) verifier() func(slot.Descriptor) error {
	if o.Keys == "" {
		return nil
	}
	keys, unread := o.keys()
	return func(d slot.Descriptor) error {
		h, err := artifact.VerifySigned(d.Excerpt, keys, d.SHA256)
		if err != nil {
			if unread != nil {
				err = fmt.Errorf("%w (%w)", err, unread)
			}
			return err
		}
		return o.signedVersion(h, d.Security)
	}
}

// signedVersion compares the security version that was signed with the one
// that a slot claims, and with the loader's own floor. What does not say
// counts as 0.
func (o Options) signedVersion(h *artifact.Header, claimed uint32) error {
	signed := uint64(0)
	if h != nil {
		var err error
		if _, signed, _, err = h.SecurityVersion(); err != nil {
			return err
		}
		if signed != uint64(claimed) {
			return fmt.Errorf("security version %d was signed, the slot claims %d", signed, claimed)
		}
	}
	if signed < uint64(o.Floor) {
		return fmt.Errorf("signed security version %d, floor %d of the options: %w", signed, o.Floor, boot.ErrFloor)
	}
	return nil
}

// keys reads the keys. The error is of one that could not be read; those that
// could are returned all the same.
func (o Options) keys() (keys []artifact.Verifier, unread error) {
	if o.Keys == "" {
		return nil, nil
	}
	for path := range strings.SplitSeq(o.Keys, ",") {
		key, err := readKey(strings.TrimSpace(path))
		if err != nil {
			unread = err
			continue
		}
		keys = append(keys, key)
	}
	return keys, unread
}
