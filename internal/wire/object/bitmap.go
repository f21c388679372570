package object

import (
	"fmt"
	"math/bits"
)

// A Bitmap is a set of indices: i is in it when bit i%8 of byte i/8 is set,
// bit 0 being the lowest.
type Bitmap []byte

// NewBitmap returns an empty set of indices below n.
func NewBitmap(n int) Bitmap { return make(Bitmap, (n+7)/8) }

// ParseBitmap reads a set of indices below n that was kept, and refuses one of
// another length or with an index beyond.
func ParseBitmap(src []byte, n int) (Bitmap, error) {
	if len(src) != (n+7)/8 || n%8 != 0 && src[n/8]>>(n%8) != 0 {
		return nil, fmt.Errorf("parse bitmap of %d bytes: want one of %d indices", len(src), n)
	}
	return append(Bitmap{}, src...), nil
}

// Has reports whether i is in the set.
func (b Bitmap) Has(i int) bool { return i >= 0 && i/8 < len(b) && b[i/8]>>(i%8)&1 == 1 }

// Add puts i into the set, which must have room for it.
func (b Bitmap) Add(i int) { b[i/8] |= 1 << (i % 8) }

// Remove takes i out of the set.
func (b Bitmap) Remove(i int) { b[i/8] &^= 1 << (i % 8) }

// Count is how many indices are in the set.
func (b Bitmap) Count() (n int) {
	for _, x := range b {
		n += bits.OnesCount8(x)
	}
	return n
}

// Lacks returns the first index from i on that is not in the set, which may be
// one behind its room.
func (b Bitmap) Lacks(i int) int {
	for i/8 < len(b) && b.Has(i) {
		if i%8 == 0 && b[i/8] == 0xff {
			i += 8
			continue
		}
		i++
	}
	return i
}
