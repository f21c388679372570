package mcubootcmd

import (
	"bytes"
	"slices"

	"github.com/moult-ota/moult/internal/cli/usage"
	"github.com/moult-ota/moult/mcuboot"
)

// fit refuses an image that has no room in its slot, and pads it if that is
// asked for.
func (s *signing) fit(image []byte) ([]byte, error) {
	layout, err := s.layout()
	if err != nil {
		return nil, err
	}
	if s.slot == "" {
		if s.pad || s.confirm {
			return nil, usage.Errorf("pad to which size? --slot-size SIZE")
		}
		return image, nil
	}
	slot, err := number("slot-size", s.slot, 31)
	if err != nil {
		return nil, err
	}
	if room := int(slot) - s.trailer(layout); len(image) > room {
		return nil, usage.Errorf("image of %d bytes does not fit: of a slot of %d bytes the trailer needs %d", len(image), slot, s.trailer(layout))
	}
	if !s.pad && !s.confirm {
		return image, nil
	}
	if slot > mcuboot.MaxImage {
		return nil, usage.Errorf("--slot-size %s: at most %d to pad", s.slot, mcuboot.MaxImage)
	}
	end, err := layout.Pending(s.confirm && !s.overwrite)
	if err != nil {
		return nil, err
	}
	blank := bytes.Repeat([]byte{layout.Erased}, int(slot)-len(image)-len(end))
	return slices.Concat(image, blank, end), nil
}

func (s *signing) layout() (mcuboot.Layout, error) {
	if !slices.Contains([]int{1, 2, 4, 8, 16, 32}, s.align) {
		return mcuboot.Layout{}, usage.Errorf("--align %d: want 1, 2, 4, 8, 16 or 32", s.align)
	}
	if s.maxAlign == 0 {
		s.maxAlign = max(s.align, mcuboot.DefaultAlign)
	}
	if !slices.Contains([]int{8, 16, 32}, s.maxAlign) || s.maxAlign < s.align {
		return mcuboot.Layout{}, usage.Errorf("--max-align %d: want 8, 16 or 32, and no less than --align", s.maxAlign)
	}
	if s.maxSectors < 1 || s.maxSectors > 1<<16 {
		return mcuboot.Layout{}, usage.Errorf("--max-sectors %d: want 1 to 65536", s.maxSectors)
	}
	l := mcuboot.Layout{Align: s.maxAlign, Erased: 0xff}
	if s.erased == "0" {
		l.Erased = 0
	}
	return l, nil
}

// trailer is how many bytes of a slot the boot loader may need for itself: the
// magic, and for swaps the flags, two content keys, and three states of each
// sector.
func (s *signing) trailer(l mcuboot.Layout) int {
	up := func(n int) int { return (n + l.Align - 1) / l.Align * l.Align }
	if s.overwrite {
		return up(16) + 2*l.Align
	}
	n := up(16) + 4*l.Align + 3*s.maxSectors*s.align
	if s.encrypt != "" {
		n += 2 * up(s.keyBits/8)
	}
	return n
}
