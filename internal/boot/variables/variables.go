// Package variables keeps boot.Vars in a boot loader's own variables, beside
// those that the loader acts on: Mender's, which loaders in the field know.
//
// It is pure: it knows names and values, and how a loader changes them between
// Save and Load. Where they are kept is a Store, in a package for each loader.
// FORMAT.md has the names and the rules. Its promise is the Store's: what
// loader and application read is of one write, never of two.
package variables

import (
	"errors"
	"fmt"

	"github.com/moult-ota/moult/internal/boot"
)

// A Set is variables by name.
type Set map[string]string

// A Store is where a loader keeps its variables.
type Store interface {
	// Read returns all variables, at least those of this package. It is an
	// error when there is no environment to read: a loader would take its
	// built-in one, and nobody knows what is in that.
	Read() (Set, error)
	// Write sets the variables of s in one step and leaves all others as they
	// are: after a power cut Read returns what it returned before or all of s.
	// When Write returned nil: all of s.
	Write(s Set) error
}

// Errors for callers that branch.
var (
	ErrForeign = errors.New("an update is on trial that was not set here")
	ErrCanary  = errors.New("the boot loader did not find its canary: it does not share these variables")
	ErrPart    = errors.New("mender_boot_part names neither slot")
)

// An Env is a boot.Env in a loader's variables.
type Env struct {
	store Store
	parts Parts
}

var _ boot.Env = (*Env)(nil)

// Open returns the Env in s. It reads and writes nothing yet.
func Open(s Store, p Parts) (*Env, error) {
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("open boot variables: %w", err)
	}
	return &Env{s, p}, nil
}

// Load returns what was saved, with what the loader made of it since: starts
// that it counted, or a trial that it ended.
func (e *Env) Load() (boot.Vars, error) {
	v, _, err := e.load()
	if err != nil {
		return boot.Vars{}, fmt.Errorf("load boot variables: %w", err)
	}
	return v, nil
}

// Save writes v, and what it means for the loader, in one step. It writes
// nothing when Load returns v already. It refuses while another program's
// update is on trial, and where the loader does not share the variables.
func (e *Env) Save(v boot.Vars) error {
	old, s, err := e.load()
	switch {
	case err != nil:
	case s[checkCanary] == "1" && s[canary] != "1":
		err = ErrCanary
	case old == v:
	default:
		err = e.store.Write(e.parts.set(v))
	}
	if err != nil {
		return fmt.Errorf("save boot variables: %w", err)
	}
	return nil
}

func (e *Env) load() (boot.Vars, Set, error) {
	s, err := e.store.Read()
	if err != nil {
		return boot.Vars{}, nil, err
	}
	v, err := e.parts.vars(s)
	return v, s, err
}
