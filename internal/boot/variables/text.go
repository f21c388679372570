package variables

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/slot"
)

const (
	format  = "1"
	maxText = 256 // bytes of one text
)

// ErrText means that a text is not what AppendVars writes.
var ErrText = errors.New("not boot variables of a format known here")

// AppendVars appends v as text: no spaces, quotes or anything else that a
// loader's shell would see as more than text.
//
//	1,A,B,3,4,4660,confirmed.0.4.0102030405060708,valid.0.5.0807060504030201
//	│ │ │ │ │ │    slot A: state.reason.security version.digest      slot B
//	│ │ │ │ │ deployment
//	│ │ │ │ security floor
//	│ │ │ tries left when it was saved
//	│ current and trial: A, B, none
//	format
func AppendVars(dst []byte, v boot.Vars) []byte {
	dst = fmt.Appendf(dst, "%s,%v,%v,%d,%d,%d", format, v.Current, v.Trial, v.Tries, v.Floor, v.Deployment)
	for _, x := range v.Slots {
		dst = fmt.Appendf(dst, ",%v.%d.%d.%v", x.State, x.Reason, x.Image.Security, x.Image.Digest)
	}
	return dst
}

// ParseVars reads a text of AppendVars. Everything else is ErrText.
func ParseVars(text string) (boot.Vars, error) {
	f := strings.Split(text[:min(len(text), maxText)], ",")
	if len(f) != 8 || f[0] != format {
		return boot.Vars{}, fmt.Errorf("parse %s: %w", ours, ErrText)
	}
	v := boot.Vars{
		Current: slotOf(f[1]), Trial: slotOf(f[2]), Tries: uint8(number(f[3], 8)),
		Floor: number(f[4], 32), Deployment: number(f[5], 32),
		Slots: [2]boot.SlotVars{parseSlot(f[6]), parseSlot(f[7])},
	}
	if string(AppendVars(nil, v)) != text { // says what was not read
		return boot.Vars{}, fmt.Errorf("parse %s: %w", ours, ErrText)
	}
	return v, nil
}

func slotOf(text string) slot.Slot {
	s, _ := slot.Parse(text) // None, when it is none
	return s
}

func number(text string, bits int) uint32 {
	n, _ := strconv.ParseUint(text, 10, bits)
	return uint32(n)
}

func parseSlot(text string) (x boot.SlotVars) {
	f := strings.Split(text, ".")
	if len(f) != 4 {
		return x
	}
	for s := boot.Empty; s <= boot.Failed; s++ {
		if s.String() == f[0] {
			x.State = s
		}
	}
	x.Reason, x.Image.Security = boot.Reason(number(f[1], 8)), number(f[2], 32)
	if d, err := hex.DecodeString(f[3]); err == nil && len(d) == boot.DigestSize {
		x.Image.Digest = boot.Digest(d)
	}
	return x
}
