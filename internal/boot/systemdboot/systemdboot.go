// Package systemdboot keeps boot.Vars for systemd-boot: what starts, and how
// often, in the names of boot loader entries, which systemd-boot counts down;
// all of it in two records beside them.
//
// A name has the generation of the record that it belongs to, and systemd-boot
// starts the highest: so making one name is what moves all variables at once,
// for the loader and for the agent. It leans on no rename being atomic, which
// FAT does not promise; boottest is the proof. FORMAT.md has names and rules.
// systemd-boot reads kernels from the ESP or XBOOTLDR only, not from slots.
package systemdboot

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/slot"
)

// Where things are on the ESP or XBOOTLDR.
const (
	entries = "loader/entries"
	folder  = "loader/moult"
)

// Names of files.
var (
	templates = [2]string{folder + "/a.conf", folder + "/b.conf"}
	records   = [2]string{folder + "/vars1", folder + "/vars2"}
	temporary = entries + "/moult.new" // no .conf: systemd-boot does not see it
)

// ErrLost means that there are entries of a generation without its record.
var ErrLost = errors.New("the record of the boot variables is lost")

// A Folder is a file system, by paths with slashes. Files are small.
type Folder interface {
	List(dir string) ([]string, error)
	Read(name string) ([]byte, error)
	// Write puts p at the start of a file, which it makes when there is none,
	// and stores what it holds. Sync stores its name.
	Write(name string, p []byte) error
	// Rename and Remove change names; a power cut before Sync leaves any of
	// them as before or as after.
	Rename(from, to string) error
	Remove(name string) error
	Sync(dir string) error
}

// An Env is a boot.Env for systemd-boot.
type Env struct {
	folder Folder
	// running tells a trial that runs on its last start from one that was
	// given up: both have no starts left.
	running slot.Slot
}

var _ boot.Env = (*Env)(nil)

// New returns the Env in f. running is the slot that runs; None when nobody
// knows: a trial that was given up then looks like one without starts left.
func New(f Folder, running slot.Slot) *Env { return &Env{f, running} }

// Load returns what was saved, with what systemd-boot made of it since.
func (e *Env) Load() (boot.Vars, error) {
	s, err := e.look()
	if err != nil {
		return boot.Vars{}, fmt.Errorf("load boot entries: %w", err)
	}
	return s.vars(e.running), nil
}

// Save writes v into the record that is not in force, and then makes the entry
// that brings it in force.
func (e *Env) Save(v boot.Vars) error {
	s, err := e.look()
	if err == nil && s.vars(e.running) != v {
		err = e.save(s, v)
	}
	if err != nil {
		return fmt.Errorf("save boot entries: %w", err)
	}
	return nil
}

func (e *Env) save(s state, v boot.Vars) error {
	next := entryOf(v)
	next.Generation = s.next()
	text, err := e.folder.Read(templates[next.Slot-1])
	if err != nil {
		return fmt.Errorf("%w; it is the entry for slot %v, see docs/integrate/systemd-boot.md", err, next.Slot)
	}
	if err := e.folder.Write(records[1-s.at], AppendRecord(nil, Record{next.Generation, v})); err != nil {
		return err
	}
	if err := e.folder.Sync(folder); err != nil {
		return err
	}
	if err := e.make(next, text); err != nil {
		return err
	}
	return e.tidy(v, next)
}

// make makes an entry: under a name that nobody sees, and then under its own.
func (e *Env) make(n Entry, text []byte) error {
	if err := e.folder.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := e.folder.Write(temporary, text); err != nil {
		return err
	}
	if err := e.folder.Rename(temporary, path.Join(entries, n.String())); err != nil {
		return err
	}
	return e.folder.Sync(entries)
}

// tidy removes older entries, all but the other slot's newest when that may
// start: when it is current, or was confirmed.
func (e *Env) tidy(v boot.Vars, n Entry) error {
	s, err := e.look()
	if err != nil {
		return err
	}
	other := n.Slot.Other()
	keep := v.Current == other || v.Slot(other).State == boot.Confirmed
	for _, x := range s.entries {
		if x.Slot == other && keep {
			keep = false // they are sorted, the newest first
			continue
		}
		if x.Entry == n {
			continue
		}
		if err := e.folder.Remove(path.Join(entries, x.name)); err != nil {
			return err
		}
	}
	return e.folder.Sync(entries)
}

// entryOf says what starts with v. With nothing to start it is a bad entry:
// some name must have the generation.
func entryOf(v boot.Vars) Entry {
	switch {
	case v.Trial.Valid():
		return Entry{Slot: v.Trial, Counted: true, Left: uint32(v.Tries)}
	case v.Current.Valid():
		return Entry{Slot: v.Current}
	}
	return Entry{Slot: slot.A, Counted: true}
}

// look reads names and records.
func (e *Env) look() (s state, err error) {
	names, err := e.folder.List(entries)
	if err != nil {
		return s, err
	}
	for _, name := range names {
		if x, ok := ParseEntry(name); ok {
			s.entries = append(s.entries, named{x, name})
		}
	}
	slices.SortFunc(s.entries, newestFirst)
	for i, name := range records {
		p, err := e.folder.Read(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return s, err
		}
		if s.records[i], err = ParseRecord(p); err == nil {
			s.whole[i] = true
		}
	}
	return s, s.choose()
}
