package systemdboot

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/moult-ota/moult/internal/slot"
)

// An Entry is what the name of a boot loader entry says.
//
//	moult-7-b+2-1.conf
//	      │ │ │ └ starts done; not there before the first
//	      │ │ └ starts left; neither is there when the slot is not on trial
//	      │ └ slot: a, b
//	      └ generation: which record of the variables it belongs to
type Entry struct {
	Generation uint32
	Slot       slot.Slot
	Counted    bool // starts are counted: the next two
	Left, Done uint32
}

const (
	prefix = "moult-"
	suffix = ".conf"
)

func (e Entry) String() string {
	name := fmt.Sprintf("%s%d-%s", prefix, e.Generation, strings.ToLower(e.Slot.String()))
	if e.Counted {
		name += fmt.Sprintf("+%d", e.Left)
		if e.Done > 0 {
			name += fmt.Sprintf("-%d", e.Done)
		}
	}
	return name + suffix
}

// ParseEntry reads a name; ok says whether it is one of ours. systemd-boot
// writes "-0" where String does not, and firmware may change the case.
func ParseEntry(name string) (e Entry, ok bool) {
	name, ok1 := strings.CutPrefix(strings.ToLower(name), prefix)
	name, ok2 := strings.CutSuffix(name, suffix)
	name, counter, counted := strings.Cut(name, "+")
	generation, which, ok3 := strings.Cut(name, "-")
	left, done, more := strings.Cut(counter, "-")
	if !more {
		done = "0"
	}
	if !counted {
		left = "0"
	}
	e = Entry{Counted: counted}
	ok4 := number(generation, &e.Generation) && number(left, &e.Left) && number(done, &e.Done)
	switch which {
	case "a":
		e.Slot = slot.A
	case "b":
		e.Slot = slot.B
	}
	if !ok1 || !ok2 || !ok3 || !ok4 || !e.Slot.Valid() {
		return Entry{}, false
	}
	return e, true
}

func number(text string, to *uint32) bool {
	n, err := strconv.ParseUint(text, 10, 31)
	*to = uint32(n)
	return err == nil
}
