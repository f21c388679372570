package sbl

import (
	"fmt"
	"io"

	"github.com/moult-ota/moult/internal/boot"
	"github.com/moult-ota/moult/internal/slot"
)

// dryRun prints what a board would do with a disk, and why. It writes nothing.
func dryRun(o Options, w io.Writer) error {
	b, err := find(o)
	if err != nil {
		return err
	}
	env, err := b.peek()
	if err != nil {
		return err
	}
	v, err := env.Load()
	if err != nil {
		return err
	}
	printVars(w, v)
	d, err := boot.Boot(env, b.look(o.verifier(), says(w, o.Keys != "")))
	if err != nil {
		return err
	}
	printDecision(w, d)
	if d.Action != boot.Run {
		fmt.Fprintf(w, "recovery     %s\n", o.recovers(d.Vars))
	} else {
		fmt.Fprintf(w, "command line %s\n", commandLine(o, b.parts[d.Slot], d.Slot))
	}
	return nil
}

// recovers says what a board does that has nothing to start.
func (o Options) recovers(v boot.Vars) string {
	keys, unread := o.keys()
	switch {
	case o.Recover == "":
		return "none is set"
	case len(keys) == 0:
		return fmt.Sprintf("refused without a key that can be read: set verify-keys (%v)", unread)
	case o.DeviceType == "":
		return "refused: set device-type"
	}
	return fmt.Sprintf("%s, into slot %v", expand(o.Recover, o.DeviceType, macPart), targets(v)[0])
}

// printVars says what the register holds.
func printVars(w io.Writer, v boot.Vars) {
	fmt.Fprintf(w, "register     current %v, trial %v, tries %d, floor %d\n", v.Current, v.Trial, v.Tries, v.Floor)
	for _, s := range []slot.Slot{slot.A, slot.B} {
		x := v.Slot(s)
		fmt.Fprintf(w, "register %v   %v", s, x.State)
		if x.Reason != boot.NoReason {
			fmt.Fprintf(w, " (%v)", x.Reason)
		}
		if x.State != boot.Empty {
			fmt.Fprintf(w, ", image %v, security version %d", x.Image.Digest, x.Image.Security)
		}
		fmt.Fprintln(w)
	}
}

// says prints what a slot's check found.
func says(w io.Writer, signed bool) func(slot.Slot, slot.Descriptor, error) {
	return func(s slot.Slot, d slot.Descriptor, err error) {
		if err != nil {
			fmt.Fprintf(w, "slot %v       %v\n", s, err)
			return
		}
		found := "as described; no key to check its signature with"
		if signed {
			found = "as described and signed"
		}
		fmt.Fprintf(w, "slot %v       %q, %d bytes, SHA-256 %x: %s\n", s, d.Artifact, d.Length, d.SHA256, found)
	}
}

func printDecision(w io.Writer, d boot.Decision) {
	fmt.Fprintf(w, "decision     %v", d.Action)
	if d.Action == boot.Run {
		fmt.Fprintf(w, " slot %v", d.Slot)
	}
	fmt.Fprintf(w, ": %s\n", d.Why)
	if d.Save {
		fmt.Fprintf(w, "to store     current %v, trial %v, tries %d\n", d.Vars.Current, d.Vars.Trial, d.Vars.Tries)
	}
}
