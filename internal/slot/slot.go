// Package slot is a device's places for images: their names, what is known
// about the image in one (its Descriptor), and the way an image gets into one.
// It does not say which slot starts; package boot does.
//
// Its promise: a slot whose Check passes holds, byte for byte, the image that
// its descriptor names. A power cut during writing leaves a slot whose Check
// fails, never one that passes with other bytes.
package slot

import "fmt"

// A Slot is one of a device's two places for an image.
type Slot uint8

// The slots. Boot loaders that count call A image 1 and B image 2.
const (
	None Slot = 0
	A    Slot = 1
	B    Slot = 2
)

// Valid reports whether s is A or B.
func (s Slot) Valid() bool { return s == A || s == B }

// Other returns B for A and A for B, and None for anything else.
func (s Slot) Other() Slot {
	switch s {
	case A:
		return B
	case B:
		return A
	}
	return None
}

func (s Slot) String() string {
	switch s {
	case None:
		return "none"
	case A:
		return "A"
	case B:
		return "B"
	}
	return fmt.Sprintf("slot(%d)", uint8(s))
}

// Parse reads what String wrote, and the numbers 1 and 2.
func Parse(text string) (Slot, error) {
	switch text {
	case "A", "a", "1":
		return A, nil
	case "B", "b", "2":
		return B, nil
	}
	return None, fmt.Errorf("parse slot %q: want A or B", text)
}
