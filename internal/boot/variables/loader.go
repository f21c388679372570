package variables

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/slot"
)

// The variables that loaders act on, and ours.
const (
	bootPart    = "mender_boot_part"     // what to start, in decimal
	bootPartHex = "mender_boot_part_hex" // the same in hexadecimal
	available   = "upgrade_available"    // 1: that is on trial
	bootCount   = "bootcount"            // starts of the trial, counted by the loader
	bootLimit   = "bootlimit"            // starts that it gets
	checkCanary = "mender_check_saveenv_canary"
	canary      = "mender_saveenv_canary"
	ours        = "moult_vars" // all of boot.Vars as last saved
)

// Parts are the partition numbers of slots A and B, in decimal, as
// mender_boot_part has them.
type Parts [2]string

func (p Parts) check() error {
	for _, text := range p {
		if n, err := strconv.ParseUint(text, 10, 16); err != nil || strconv.FormatUint(n, 10) != text {
			return fmt.Errorf("partition %q: want a number in decimal", text)
		}
	}
	if p[0] == p[1] {
		return errors.New("both slots have the same partition")
	}
	return nil
}

func (p Parts) slot(part string) (slot.Slot, error) {
	for i, text := range p {
		if text == part {
			return slot.A + slot.Slot(i), nil
		}
	}
	return slot.None, fmt.Errorf("partition %q: %w", part, ErrPart)
}

// set returns the variables that say v to the loader, and to vars.
func (p Parts) set(v boot.Vars) Set {
	s := Set{ours: string(AppendVars(nil, v)), available: "0", bootCount: "0"}
	run := v.Current
	if v.Trial.Valid() {
		run = v.Trial
		s[available] = "1"
		s[bootLimit] = strconv.Itoa(limit(v.Tries))
		s[bootCount] = strconv.Itoa(limit(v.Tries) - int(v.Tries))
	}
	if run.Valid() {
		n, _ := strconv.ParseUint(p[run-1], 10, 16) // check saw it
		s[bootPart], s[bootPartHex] = p[run-1], strconv.FormatUint(n, 16)
	}
	return s
}

// limit is the bootlimit for a trial with tries left. Never 0, which for a
// loader means without limit.
func limit(tries uint8) int { return max(1, int(tries)) }

// vars is what was saved and what the loader made of it since.
//
//	saved      loader says          then
//	no trial   that slot            as saved
//	no trial   the other slot       somebody switched: that is the current one
//	trial      on trial, n starts   n tries fewer
//	trial      the other slot       the loader gave up: the trial failed
//	trial      that slot, no trial  somebody confirmed it: the current one
//	any        another trial        not ours: ErrForeign
func (p Parts) vars(s Set) (boot.Vars, error) {
	trying := s[available] != "" && s[available] != "0"
	v, err := parseOurs(s)
	if err != nil {
		return v, err
	}
	if v.Current == slot.None && v.Trial == slot.None {
		if trying {
			err = ErrForeign
		}
		return v, err
	}
	part, err := p.slot(s[bootPart])
	switch {
	case err != nil:
	case trying && part != v.Trial:
		err = ErrForeign
	case trying:
		v.Tries = left(v.Tries, s[bootCount])
	case v.Trial == slot.None:
		v.Current = part
	case part == v.Trial:
		v.Current, v.Trial, v.Tries = part, slot.None, 0
	default:
		v, err = boot.RollBack(v, part, boot.ReasonTries)
	}
	return v, err
}

// parseOurs reads what was last saved; nothing is zero Vars.
func parseOurs(s Set) (v boot.Vars, err error) {
	if text, saved := s[ours]; saved {
		v, err = ParseVars(text)
	}
	return v, err
}

// left is what count starts leave of the tries that were saved. A count that
// is no number leaves none.
func left(tries uint8, count string) uint8 {
	n, err := strconv.ParseUint(count, 10, 32)
	if err != nil {
		return 0
	}
	started := max(0, int64(n)-int64(limit(tries)-int(tries)))
	return uint8(max(0, int64(tries)-started))
}
