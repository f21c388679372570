package systemdboot

import (
	"cmp"
	"fmt"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/slot"
)

// A state is what lies in the folder.
type state struct {
	entries []named // the newest first
	records [2]Record
	whole   [2]bool
	at      int  // the record in force
	none    bool // there is none
}

type named struct {
	Entry
	name string
}

// newestFirst is by generation. Of two names of one entry, which a rename may
// leave, the one with fewer starts left comes first.
func newestFirst(a, b named) int {
	return cmp.Or(cmp.Compare(b.Generation, a.Generation), order(a, b), cmp.Compare(a.name, b.name))
}

func order(a, b named) int {
	switch {
	case a.Counted && b.Counted:
		return cmp.Compare(a.Left, b.Left)
	case a.Counted:
		return -1
	case b.Counted:
		return 1
	}
	return 0
}

// generation is the highest of an entry; 0 when there is none. An image may
// come with entries of generation 0.
func (s *state) generation() uint32 {
	if len(s.entries) == 0 {
		return 0
	}
	return s.entries[0].Generation
}

// next is a generation above all.
func (s *state) next() uint32 {
	return max(s.generation(), s.records[0].Generation, s.records[1].Generation) + 1
}

// choose finds the record in force: the one that the newest entry names. When
// the loader lost that entry while it counted, the older of two records that
// are both newer than all entries was in force, else the only one.
func (s *state) choose() error {
	g := s.generation()
	older := -1
	for i, r := range s.records {
		switch {
		case !s.whole[i]:
		case r.Generation == g:
			s.at = i
			return nil
		case r.Generation > g && (older < 0 || r.Generation < s.records[older].Generation):
			older = i
		}
	}
	switch {
	case g == 0 && s.whole[0] != s.whole[1] || older < 0 && g == 0:
		s.none, s.at = true, 1 // the first goes to 0, until it is in force
		return nil
	case older < 0:
		return fmt.Errorf("entries have generation %d: %w; docs/integrate/systemd-boot.md says how to start over", g, ErrLost)
	}
	s.at = older
	return nil
}

// vars is what was saved and what the loader made of it since.
//
//	saved     entry of its generation   then
//	no trial  any                       as saved
//	trial     +n                        n tries left, at most those saved
//	trial     +0, another slot runs     the loader gave up: the trial failed
//	trial     none                      the loader lost it: the trial failed
//	trial     without a counter         somebody confirmed it: the current one
func (s *state) vars(running slot.Slot) boot.Vars {
	if s.none {
		return boot.Vars{}
	}
	v := s.records[s.at].Vars
	if !v.Trial.Valid() {
		return v
	}
	x, found := Entry{}, len(s.entries) > 0 && s.entries[0].Generation == s.records[s.at].Generation
	if found {
		x = s.entries[0].Entry
	}
	switch {
	case found && !x.Counted:
		v.Current, v.Trial, v.Tries = v.Trial, slot.None, 0
	case !found || x.Left == 0 && running.Valid() && running != v.Trial:
		v, _ = boot.RollBack(v, running, boot.ReasonTries) // errs without a trial only
	default:
		v.Tries = uint8(min(uint32(v.Tries), x.Left))
	}
	return v
}
