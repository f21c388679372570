package dfu

import (
	"fmt"
	"regexp"

	wire "github.com/moult-ota/moult/internal/wire/dfu"
	"github.com/moult-ota/moult/mcuboot"
)

// Values of Options.Version that are not regular expressions.
const (
	VersionBCD    = "bcd"
	VersionBCD3   = "bcd3"
	VersionUntold = "none"
)

// A version finds the one of the application.
type version struct {
	where string
	form  *regexp.Regexp // nil: bcdDevice, or nowhere
}

// plainForm is a version that is not part of a longer one.
const plainForm = `(?:^|[^0-9.])(\d+\.\d+\.\d+(?:\+\d+)?)(?:$|[^0-9.+])`

func parseVersion(where string) (version, error) {
	form := where
	switch where {
	case VersionBCD, VersionBCD3, VersionUntold:
		return version{where: where}, nil
	case "":
		form = plainForm
	}
	r, err := regexp.Compile(form)
	if err == nil && r.NumSubexp() != 1 {
		err = fmt.Errorf("it has %d groups, want one", r.NumSubexp())
	}
	if err != nil {
		return version{}, fmt.Errorf("where to read the version %.80q: %w", where, err)
	}
	return version{where, r}, nil
}

// of is what a device tells. In DFU mode strings are the boot loader's.
func (v version) of(d Device) (mcuboot.Version, bool) {
	switch {
	case v.where == VersionBCD:
		return ofBCD(d.USB.Release, false)
	case v.where == VersionBCD3:
		return ofBCD(d.USB.Release, true)
	case v.form == nil, d.inDFU():
		return mcuboot.Version{}, false
	}
	for _, text := range texts(d) {
		if m := v.form.FindStringSubmatch(text); m != nil {
			if found, err := mcuboot.ParseVersion(m[1]); err == nil {
				return found, true
			}
		}
	}
	return mcuboot.Version{}, false
}

// texts are the strings that may have a version: of the DFU interface, of
// others, and the product's name.
func texts(d Device) (all []string) {
	var others []string
	for _, i := range d.USB.Interfaces {
		if text := d.Names[i.String]; i.IsDFU(wire.ProtocolRuntime) {
			all = append(all, text)
		} else {
			others = append(others, text)
		}
	}
	return append(append(all, others...), d.Names[d.USB.ProductString])
}

// ofBCD reads JJ.NN, or JJ.M.N.
func ofBCD(n uint16, three bool) (v mcuboot.Version, ok bool) {
	var digits [4]uint8
	for i := range digits {
		if digits[i] = uint8(n >> (12 - 4*i) & 15); digits[i] > 9 {
			return v, false
		}
	}
	v.Major = 10*digits[0] + digits[1]
	if three {
		v.Minor, v.Revision = digits[2], uint16(digits[3])
	} else {
		v.Minor = 10*digits[2] + digits[3]
	}
	return v, true
}
