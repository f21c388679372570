package object

import (
	"errors"
	"fmt"
	"io"
)

// MaxBarren requests in a row may go without an answer that fits.
const MaxBarren = 32

var (
	// ErrHave is returned for a piece that was taken before; it does no harm.
	ErrHave = errors.New("piece is there already")
	// ErrEarly is returned for a piece that cannot be checked yet: what stands
	// above it in the tree has not come. Ask for it again.
	ErrEarly = errors.New("piece cannot be checked yet")
	// ErrBarren is returned when MaxBarren requests in a row brought nothing.
	ErrBarren = errors.New("no answer that fits")
)

// Options of a Verifier; zero takes the ciphertext of a whole object.
type Options struct {
	// Key decrypts the chunks; nil stores them as they are, which is what a
	// gateway or a cache does.
	Key *Key
	// Have are the chunks that were stored before; nil means none.
	Have Bitmap
}

// A Verifier takes the pieces of one object in any order, from anybody. A chunk
// is checked against the root, and decrypted, before it is stored; what does
// not fit changes nothing. It remembers 32 bytes per chunk of the pages at
// work, at most 4 MiB and 32 KiB. It is for one goroutine.
type Verifier struct {
	spec   Spec
	cipher *Cipher // nil: without the key
	to     io.WriterAt
	have   Bitmap
	left   int   // chunks that are missing
	open   []int // those of each page
	list   []byte
	leaves [][]byte // of the pages that came and are not complete
	out    []asked
	barren int // requests in a row
	plain  []byte
}

// NewVerifier returns a verifier that stores chunks in to: plaintext at
// Spec.Offset, or ciphertext at Spec.SealedOffset. A key that fails the key
// check is refused with ErrKey.
func NewVerifier(s Spec, to io.WriterAt, o Options) (*Verifier, error) {
	if err := s.Valid(); err != nil {
		return nil, err
	}
	v := &Verifier{spec: s, to: to, have: NewBitmap(s.Chunks()), open: make([]int, s.Pages()), leaves: make([][]byte, s.Pages())}
	if o.Key != nil {
		if o.Key.Check(s.Nonce0) != s.Check {
			return nil, fmt.Errorf("open object %s: %w", s.OID(), ErrKey)
		}
		var err error
		if v.cipher, err = NewCipher(*o.Key, s); err != nil {
			return nil, err
		}
		v.plain = make([]byte, 0, 1<<s.Chunk)
	}
	return v, v.resume(o.Have)
}

func (v *Verifier) resume(have Bitmap) (err error) {
	if have != nil {
		if v.have, err = ParseBitmap(have, v.spec.Chunks()); err != nil {
			return err
		}
	}
	for i := range v.spec.Chunks() {
		if !v.have.Has(i) {
			v.open[i/PageLeaves]++
			v.left++
		}
	}
	return nil
}

// Have are the chunks that are stored; the caller keeps it when it wants to
// resume. A bit too few costs one chunk.
func (v *Verifier) Have() Bitmap { return append(Bitmap{}, v.have...) }

// Missing is how many chunks are not stored yet.
func (v *Verifier) Missing() int { return v.left }

// Take takes one answer. An error of another kind than ErrFormat, ErrRefused,
// ErrHave and ErrEarly comes from storing. After any error nothing has changed
// but what a WriteAt may have begun.
func (v *Verifier) Take(msg []byte) error {
	a, err := ParseAnswer(msg)
	if err != nil {
		return err
	}
	i := int(a.Index)
	if a.Short != v.spec.OID().Short() || i >= v.spec.Count(a.Kind) {
		return fmt.Errorf("take %s %d: %w", a.Kind, i, ErrRefused)
	}
	if err := v.take(a.Kind, i, a.Bytes); err != nil {
		return fmt.Errorf("take %s %d: %w", a.Kind, i, err)
	}
	v.answered(a.Kind, i)
	return nil
}

func (v *Verifier) take(k Kind, i int, b []byte) error {
	switch k {
	case PageList:
		return v.takeList(b)
	case LeafPage:
		return v.takePage(i, b)
	}
	return v.takeChunk(i, b)
}

func (v *Verifier) takeList(b []byte) error {
	if v.list != nil {
		return ErrHave
	}
	if err := v.spec.CheckPageList(b); err != nil {
		return err
	}
	v.list = append([]byte{}, b...)
	return nil
}

func (v *Verifier) takePage(j int, b []byte) error {
	switch {
	case v.leaves[j] != nil || v.open[j] == 0:
		return ErrHave
	case v.list == nil:
		return ErrEarly
	}
	if err := v.spec.CheckPage(v.list, j, b); err != nil {
		return err
	}
	v.leaves[j] = append([]byte{}, b...)
	return nil
}

func (v *Verifier) takeChunk(i int, b []byte) error {
	j := i / PageLeaves
	switch {
	case v.have.Has(i):
		return ErrHave
	case v.leaves[j] == nil:
		return ErrEarly
	}
	if err := v.spec.CheckChunk(v.leaves[j], i, b); err != nil {
		return err
	}
	if err := v.store(i, b); err != nil {
		return err
	}
	v.have.Add(i)
	v.left--
	if v.open[j]--; v.open[j] == 0 {
		v.leaves[j] = nil
	}
	return nil
}

// store decrypts a chunk that was checked, and writes it.
func (v *Verifier) store(i int, b []byte) error {
	at := v.spec.SealedOffset(i)
	if v.cipher != nil {
		var err error
		if b, err = v.cipher.Open(v.plain[:0], i, b); err != nil {
			return err
		}
		at = v.spec.Offset(i)
	}
	if _, err := v.to.WriteAt(b, at); err != nil {
		return fmt.Errorf("store it: %w", err)
	}
	return nil
}
