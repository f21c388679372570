package sbl

import (
	"fmt"
	"strings"

	"github.com/moult-ota/moult/artifact"
	"github.com/moult-ota/moult/internal/slot"
)

// verifier returns what is asked about a slot whose digest is right: whether
// one of the keys signed an artifact with this image. Without keys it is nil:
// digests are all that is checked. A key that cannot be read signs nothing,
// and when none can be read, no slot is fit to start.
//
// The signature covers the image, not the descriptor's security version.
func (o Options) verifier() func(slot.Descriptor) error {
	if o.Keys == "" {
		return nil
	}
	keys, unread := o.keys()
	return func(d slot.Descriptor) error {
		err := artifact.VerifySigned(d.Excerpt, keys, d.SHA256)
		if err != nil && unread != nil {
			err = fmt.Errorf("%w (%w)", err, unread)
		}
		return err
	}
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
