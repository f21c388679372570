package virtualmcu

import (
	"bytes"
	"crypto/sha256"

	"github.com/fxamacker/cbor/v2"

	"github.com/moult-ota/moult/internal/virtualmcu/flash"
	"github.com/moult-ota/moult/mcuboot"
)

// An upload is one that is under way; in RAM.
type upload struct {
	sha  []byte // as the client told it, of any length up to 32
	size int    // 0: none is under way
	off  int
	w    writer
	sum  []byte // what came, for "match"
}

type chunk struct {
	Image   uint   `cbor:"image"`
	Off     *int   `cbor:"off"`
	Len     *int   `cbor:"len"`
	Sha     []byte `cbor:"sha"`
	Data    []byte `cbor:"data"`
	Upgrade bool   `cbor:"upgrade"`
}

// uploadChunk takes a piece of an image and answers which it wants next.
func (d *Device) uploadChunk(raw cbor.RawMessage) outcome {
	c, ok := body[chunk](raw)
	if !ok {
		return outcome{rc: rcInvalid}
	}
	u := &d.app.upload
	switch {
	case c.Off == nil || *c.Off < 0:
		return outcome{group: imageBadOffset}
	case *c.Off == 0:
		return d.firstChunk(c)
	case u.size == 0 || *c.Off != u.off: // not the one that is wanted; say which is
		return u.wanted()
	case u.off+len(c.Data) > u.size:
		*u = upload{}
		return outcome{group: imageOverrun}
	}
	return d.takeChunk(c, false)
}

func (u *upload) wanted() outcome { return outcome{body: map[string]any{"off": u.off}} }

func (d *Device) firstChunk(c chunk) outcome {
	u := &d.app.upload
	resumes := len(c.Sha) > 0 && u.size > 0 && bytes.Equal(c.Sha, u.sha)
	if rc := d.inspect(c); rc != 0 && !(resumes && rc == imageNoFreeSlot) {
		return outcome{group: rc}
	}
	if resumes {
		return u.wanted()
	}
	if len(c.Sha) == sha256.Size && !d.opts.Frugal && d.holds(*c.Len, c.Sha) {
		*u = upload{}
		return outcome{body: map[string]any{"off": *c.Len, "match": true}}
	}
	// Zephyr looks whether the slot is blank, and erases only what is not.
	erase := !d.blank()
	if erase {
		if err := d.loader.Erase(1); err != nil {
			return outcome{group: imageFlashErase}
		}
	}
	*u = upload{sha: bytes.Clone(c.Sha), size: *c.Len, w: writer{slots: d.loader.Slots, slot: 1}}
	return d.takeChunk(c, erase)
}

// inspect returns why an upload may not begin.
func (d *Device) inspect(c chunk) (rc int) {
	const shaMost = 32
	if len(c.Data) < mcuboot.HeaderSize {
		return imageBadHeader
	}
	h, err := mcuboot.ParseHeader(c.Data)
	switch {
	case c.Len == nil || *c.Len <= 0:
		return imageBadLength
	case err != nil:
		return imageBadMagic
	case len(c.Sha) > shaMost:
		return imageBadHash
	case c.Image != 0 || !d.free():
		return imageNoFreeSlot
	case *c.Len > d.loader.SlotSize():
		return imageTooLarge
	case len(c.Data) > *c.Len:
		return imageOverrun
	case c.Upgrade && h.Version.Compare(d.app.image.Header.Version) <= 0:
		return imageNewerRuns
	}
	return 0
}

// takeChunk writes whole units of it; the last chunk it writes to its end.
func (d *Device) takeChunk(c chunk, erased bool) outcome {
	u := &d.app.upload
	p := c.Data
	last := u.off+len(p) == u.size
	if !last {
		p = p[:len(p)/d.loader.Unit*d.loader.Unit]
	}
	err := u.w.write(p)
	if err == nil && last {
		err = u.w.flush()
	}
	if err != nil {
		*u = upload{}
		return outcome{group: imageFlashWrite}
	}
	u.off += len(p)
	u.sum = append(u.sum, p...)
	out := u.wanted()
	out.erase = erased
	if last {
		sum := sha256.Sum256(u.sum)
		if !d.opts.Frugal {
			out.body["match"] = bytes.Equal(u.sha, sum[:])
		}
		*u = upload{}
	}
	return out
}

// holds reports whether slot 1 begins with n bytes of this hash: all of an
// upload whose last answer was lost.
func (d *Device) holds(n int, sha []byte) bool {
	sum := sha256.Sum256(d.content(n))
	return bytes.Equal(sum[:], sha)
}

// blank reports whether slot 1 is.
func (d *Device) blank() bool { return flash.Blank(d.content(d.loader.SlotSize())) }

// content reads the first n bytes of slot 1.
func (d *Device) content(n int) []byte {
	p := make([]byte, n)
	if _, err := d.opts.Flash.ReadAt(p, d.loader.Offset(1)); err != nil {
		return nil // the power is off; that shows with the next erase or program
	}
	return p
}
