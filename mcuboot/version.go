package mcuboot

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
)

// A Version is an image's, as in 1.2.3+4.
type Version struct {
	Major, Minor uint8
	Revision     uint16
	Build        uint32
}

func (v Version) String() string {
	text := fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Revision)
	if v.Build != 0 {
		text += fmt.Sprintf("+%d", v.Build)
	}
	return text
}

var versionForm = regexp.MustCompile(`^(0|[1-9][0-9]{0,2})(?:\.(0|[1-9][0-9]{0,2}))?(?:\.(0|[1-9][0-9]{0,4}))?(?:\+(0|[1-9][0-9]{0,9}))?$`)

// ParseVersion reads major[.minor[.revision]][+build], at most
// 255.255.65535+4294967295.
func ParseVersion(text string) (Version, error) {
	m := versionForm.FindStringSubmatch(text)
	if m == nil {
		return Version{}, fmt.Errorf("parse version %q: want major.minor.revision+build", text)
	}
	var n [4]uint64
	for i, bits := range []int{8, 8, 16, 32} {
		if m[i+1] == "" {
			continue
		}
		var err error
		if n[i], err = strconv.ParseUint(m[i+1], 10, bits); err != nil {
			return Version{}, fmt.Errorf("parse version %q: %s does not fit %d bits", text, m[i+1], bits)
		}
	}
	return Version{uint8(n[0]), uint8(n[1]), uint16(n[2]), uint32(n[3])}, nil
}

// Compare is -1, 0 or +1 as v is older than, as old as, or newer than w. Like
// MCUboot it ignores the build number.
func (v Version) Compare(w Version) int {
	return cmp.Or(cmp.Compare(v.Major, w.Major), cmp.Compare(v.Minor, w.Minor), cmp.Compare(v.Revision, w.Revision))
}
